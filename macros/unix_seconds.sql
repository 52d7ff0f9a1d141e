{#-
  Purpose: the one reading of a recorded time: Unix seconds, Unix milliseconds or ISO-8601 text.
  Arguments: number, a DOUBLE column (NULL when the value is no number); text, the VARCHAR column
    with the value's text otherwise.
  Returns: SQL for Unix seconds (DOUBLE), microseconds kept; NULL unless it reads as a time and
    lies in the years 2000 to 2100 (contract, section 1). Numbers above 1e11 are milliseconds.
    ISO text without an offset is UTC.
  Example: (1.76e9, NULL) gives 1760000000.0; (NULL, '2025-10-21T12:00:00+02:00') gives
    1761040800.0; (NULL, 'soon') and (NULL, NULL) give NULL.
-#}
{%- macro unix_seconds(number, text) -%}
    {%- set iso -%}
        -- DuckDB wants seconds where ISO-8601 may leave them out
        try_cast(
            regexp_replace(trim({{ text }}), '([T ]\d\d:\d\d)([Z+-]|$)', '\1:00\2') as timestamptz
        )
    {%- endset -%}
    case
        when {{ number }} > 1e11 and {{ number }} >= 946684800e3 and {{ number }} < 4133980800e3
            then {{ number }} / 1e3
        when {{ number }} >= 946684800 and {{ number }} < 4133980800
            then {{ number }}
        when {{ number }} is null
            and regexp_full_match(
                {{ text }},
                '\s*\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?\s*'
            )
            and {{ iso }} >= '2000-01-01 00:00:00+00'::timestamptz
            and {{ iso }} < '2101-01-01 00:00:00+00'::timestamptz
            then epoch({{ iso }})
    end
{%- endmacro -%}
