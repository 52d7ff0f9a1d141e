{#-
  Purpose: how hot a cell of a heat map is: how many of some bounds its value exceeds.
  Arguments: value, SQL for a number; bounds, a list of SQL for numbers, of which NULL counts none.
  Returns: SQL for an INTEGER; NULL where the value is.
  Example: of the bounds 0, 2, 5, 10, 25 a value of 0 gives 0, 2 gives 1, 3 gives 2, 99 gives 5
-#}
{%- macro heat_level(value, bounds) -%}
    if({{ value }} is null, null, len(list_filter(
        [{{ bounds | join(', ') }}], lambda bound: {{ value }} > bound
    )))::integer
{%- endmacro -%}
