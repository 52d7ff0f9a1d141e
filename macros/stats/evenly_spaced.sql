{#-
  Purpose: values of an ordered list at even distances, the first and the last among them.
  Arguments: amounts, SQL for a list that is not empty; places, SQL for how many values, from 2 up,
    which may be more than the list has.
  Returns: SQL for a list; NULL where the list is.
  Example: 3 places of [10, 20, 30, 40, 50] give [10, 30, 50]
-#}
{%- macro evenly_spaced(amounts, places) -%}
    [
        {{ amounts }}[1 + round(place * (len({{ amounts }}) - 1) / ({{ places }} - 1))::bigint]
        for place in range({{ places }})
    ]
{%- endmacro -%}
