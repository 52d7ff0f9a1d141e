{#-
  Purpose: a value rounded to the var `tune_digits` significant digits as a target that it meets: a step
    to the safe side, where rounding has moved the target out of its reach.
  Arguments: value, SQL for a finite number; comparator, SQL for `>=` or `<=`.
  Returns: SQL for a number (DOUBLE); NULL where the value is.
  Example: to two digits, >= 84.37 gives 84, <= 1010 gives 1100, <= 0 gives 0
-#}
{%- macro rounded_target(value, comparator) -%}
    {%- set magnitude = "floor(log10(nullif(abs(" ~ value ~ "), 0)))" -%}
    {%- set decimals = "least(" ~ (var('tune_digits') - 1) ~ " - " ~ magnitude ~ ", 15)::integer" -%}
    {%- set nearest = "if(" ~ value ~ " = 0, 0, round(" ~ value ~ ", " ~ decimals ~ "))" -%}
    {%- set one_step = "power(10.0, -" ~ decimals ~ ")" -%}
    case
        when {{ meets(value, comparator, nearest) }} then {{ nearest }}
        when {{ comparator }} = '>=' then round({{ nearest }} - {{ one_step }}, {{ decimals }})
        else round({{ nearest }} + {{ one_step }}, {{ decimals }})
    end
{%- endmacro -%}
