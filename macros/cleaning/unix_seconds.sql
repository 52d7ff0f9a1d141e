{#-
  Purpose: the one reading of a recorded time: a number that counts from 1970, or ISO 8601 text.
  Arguments: number, a DOUBLE column (NULL when the value is no number); text, the VARCHAR column
    with the value's text otherwise.
  Returns: SQL for Unix seconds (DOUBLE), exact to the microsecond; NULL unless it reads as a time
    and lies in the years 2000 to 2100 (contract, section 1). Numbers are seconds, milliseconds
    (from 1e11), microseconds (from 1e14) or nanoseconds (from 1e17): in these years the four
    ranges do not overlap. Text is what `iso_seconds` reads.
  Example: (1.76e9, NULL) and (1.76e15, NULL) give 1760000000.0; (NULL, '2025-10-21T12:00:00+02:00')
    gives 1761040800.0; (NULL, 'soon') and (NULL, NULL) give NULL.
-#}
{%- macro unix_seconds(number, text) -%}
    {%- set first, end = var('time_first_s') | int, var('time_end_s') | int -%}
    case
        {#- multiplied here: 1e9 in a stored view is read again as a DECIMAL, which overflows -#}
        {%- for per_second in [1, 1000, 1000000, 1000000000] %}
        when {{ number }} >= {{ first * per_second }} and {{ number }} < {{ end * per_second }}
            then {{ number }} / {{ per_second }}
        {%- endfor %}
        when {{ number }} is null
            then list_filter(
                [{{ iso_seconds(text) }}], second -> second >= {{ first }} and second < {{ end }}
            )[1]
    end
{%- endmacro -%}
