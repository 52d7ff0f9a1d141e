{#-
  Purpose: how much of a whole a part is, in percent. Multiplied before it is divided, so that 29 of
    100 is 29; that makes 100 * x / x exceed 100 for some x, which is cut off.
  Arguments: part, whole: SQL for numbers, the part from 0 to the whole.
  Returns: SQL for a percentage (DOUBLE), 0 to 100; NULL where the whole is 0 or either is NULL.
  Example: 259278.792105 of itself gives 100, not 100.00000000000001; 1 of 0 gives NULL
-#}
{%- macro percentage(part, whole) -%}
    {%- set share = "100.0 * " ~ part ~ " / nullif(" ~ whole ~ ", 0)" -%}
    if({{ share }} > 100, 100, {{ share }})
{%- endmacro -%}
