{#-
  Purpose: Unix seconds as a UTC timestamp that a person can read.
  Arguments: seconds, a DOUBLE expression.
  Returns: SQL for a TIMESTAMP rounded to the microsecond; NULL for NULL.
  Example: 1760000000.5 gives 2025-10-09 08:53:20.5; NULL gives NULL.
-#}
{%- macro utc_timestamp(seconds) -%}
    make_timestamp(cast(round({{ seconds }} * 1e6) as bigint))
{%- endmacro -%}
