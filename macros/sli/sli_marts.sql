{#-
  Purpose: the columns that an SLI mart has of each fact: SLIs as they are, samples 0 where there is
    no row.
  Arguments: facts, the alias of the relation that holds each fact's measures, by the fact's name; by,
    the mart's dimension, day, or none for that of runs.
  Returns: SQL for columns of a select, in the order of the declarations.
  Example: {{ sli_marts({'requests': 'requests'}, 'role') }} gives rate_delay_p95_ms, delayed_requests
-#}
{%- macro sli_marts(facts, by=none) -%}
    {%- for sli in var('slis') if sli.meta.fact in facts and (by is none or sli.meta.by[by]) %}
        {{ facts[sli.meta.fact] }}.{{ sli.name }},
    {%- endfor %}
    {%- for sample in var('sli_samples') if sample.meta.fact in facts and (by is none or sample.meta.by[by]) %}
        {%- set found = facts[sample.meta.fact] ~ '.' ~ sample.name %}
        {%- if sample.meta.good_of %}
        if({{ facts[sample.meta.fact] }}.run_id is null, 0, {{ found }}) as {{ sample.name }},
        {%- else %}
        coalesce({{ found }}, 0) as {{ sample.name }},
        {%- endif %}
    {%- endfor %}
{%- endmacro -%}
