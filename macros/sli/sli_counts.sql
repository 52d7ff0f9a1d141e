{#-
  Purpose: what the intervals of ratios are made of, over a group of rows that are alike.
  Arguments: ratios, declarations of the var slis, all of one fact.
  Returns: SQL for columns of a select, of each ratio SLI_counted and SLI_valid (weighted), SLI_rows
    and SLI_weights_squared; NULL, but for the rows, where no row is valid.
  Example: two rows of weight 2, one answered 429: http_429_pct_counted 2, valid 4, rows 2, squares 8
-#}
{%- macro sli_counts(ratios) -%}
    {%- for sli in ratios %}
        {%- set valid = sli_condition(sli) %}
        {%- set weight = var('sli_facts')[sli.meta.fact].weight or 1 %}
        {{ sli_counted(sli) }} as {{ sli.name }}_counted,
        {{ sli_rows(sli.meta.fact, valid) }} as {{ sli.name }}_valid,
        count(*) filter ({{ valid }}) as {{ sli.name }}_rows,
        sum(pow({{ weight }}, 2)) filter ({{ valid }}) as {{ sli.name }}_weights_squared,
    {%- endfor %}
{%- endmacro -%}
