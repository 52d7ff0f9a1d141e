{#-
  Purpose: text of a time as ISO 8601, RFC 3339 or Python's logging writes it, as Unix seconds.
  Arguments: text, a VARCHAR expression.
  Returns: SQL for Unix seconds (DOUBLE) of any year; NULL where the text is no such time. Basic and
    extended format; T, t or a blank before the time; point or comma before a fraction, of which six
    digits count; Z, UTC, GMT, an offset, or none, which is UTC; blanks around. Parts may be left
    out from the right. Second 60 is the next second, 24:00 the next day's midnight.
  Example: '2026-11-18 12:00:00,123' gives 1795003200.123; '20261118T120060Z' gives 1795003260.0;
    '2026-02-30', 'soon', '' and NULL give NULL.
-#}
{%- macro iso_seconds(text) -%}
    {%- set day = '(\d{4}-\d\d-\d\d|\d{8})' -%}
    {%- set second = '(?::?([0-5]\d|60)(?:[.,](\d{1,6})\d*)?)?' -%}
    {%- set time = '([01]\d|2[0-3])(?::?([0-5]\d)' ~ second ~ ')?' -%}
    {%- set midnight = '(24)(?::?00(?::?00(?:[.,]0+)?)?)?' -%}
    {%- set offset = '([+-])([01]\d|2[0-3])(?::?([0-5]\d))?' -%}
    {%- set zone = ' ?(?:Z|(?:UTC|GMT)?(?:' ~ offset ~ ')?)' -%}
    list_transform(
        [regexp_extract(
            {{ text }},
            '(?i)^[\s\v]*{{ day }}(?:[T ](?:{{ time }}|{{ midnight }}){{ zone }})?[\s\v]*$',
            ['day', 'h', 'm', 's', 'fraction', 'h24', 'sign', 'offset_h', 'offset_m']
        )],
        part -> epoch(try_strptime(part.day, ['%Y-%m-%d', '%Y%m%d']))
            + 3600 * coalesce(try_cast(part.h || part.h24 as integer), 0)
            + 60 * coalesce(try_cast(part.m as integer), 0)
            + coalesce(try_cast(part.s as integer), 0)
            - if(part.sign = '-', -60, 60) * (
                60 * coalesce(try_cast(part.offset_h as integer), 0)
                + coalesce(try_cast(part.offset_m as integer), 0)
            )
            + coalesce(try_cast('0.' || part.fraction as double), 0)
    )[1]
{%- endmacro -%}
