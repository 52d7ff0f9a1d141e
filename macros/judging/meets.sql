{#-
  Purpose: whether a value meets a target; met exactly is met.
  Arguments: value, comparator (`>=` or `<=`) and target: SQL.
  Returns: SQL for a condition; NULL where value or target is.
  Example: 85 meets >= 85; 2.1 does not meet <= 2
-#}
{%- macro meets(value, comparator, target) -%}
    if({{ comparator }} = '>=', {{ value }} >= {{ target }}, {{ value }} <= {{ target }})
{%- endmacro -%}
