{#-
  Purpose: rows of a fact that meet a condition, each with its weight.
  Arguments: fact, a name of the var sli_facts; condition, SQL; unweighted, to count rows as one.
  Returns: SQL for an aggregate (DOUBLE with weights, BIGINT without); NULL where no row meets it.
  Example: sli_rows('requests', 'is_network') gives sum(sample_weight) filter (is_network)
-#}
{%- macro sli_rows(fact, condition, unweighted=false) -%}
    {%- set weight = none if unweighted else var('sli_facts')[fact].weight -%}
    {%- if weight -%}
        sum({{ weight }}) filter ({{ condition }})
    {%- else -%}
        nullif(count(*) filter ({{ condition }}), 0)
    {%- endif -%}
{%- endmacro -%}
