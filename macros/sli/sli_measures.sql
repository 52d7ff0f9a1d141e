{#-
  Purpose: all that is measured over a fact: samples, SLIs, of each ratio its valid and its good rows
    (`SLI_valid`, `SLI_good`), and the sample of a percentile that names none (`SLI_sample`). Every
    grain selects these.
  Arguments: fact, a name of the var sli_facts; the relation in scope is the fact, grouped.
  Returns: SQL for columns of a select. Samples of nothing are 0, SLIs of nothing NULL, and so is an
    SLI of a dimension that it is not told by.
  Example: select run_id, {{ sli_measures('requests') }} from requests group by run_id
-#}
{%- macro sli_measures(fact) -%}
    {%- for sample in var('sli_samples') if sample.meta.fact == fact %}
        {%- if sample.meta.good_of %}
        {%- set ratio = var('slis') | selectattr('name', 'equalto', sample.meta.good_of) | first %}
        {{ sli_good(ratio) }} as {{ sample.name }},
        {%- else %}
        coalesce({{ sli_rows(fact, sample.meta.where or 'true', sample.meta.unweighted) }}, 0) as {{ sample.name }},
        {%- endif %}
    {%- endfor %}
    {%- for sli in var('slis') if sli.meta.fact == fact %}
        {%- if sli.meta.good or sli.meta.bad %}
        {{ sli_rows(fact, sli_condition(sli)) }} as {{ sli.name }}_valid,
        {{ sli_good(sli) }} as {{ sli.name }}_good,
        {%- elif sli.meta.column and not sli.meta.sample %}
        count({{ sli.meta.column }}) as {{ sli.name }}_sample,
        {%- elif sli.meta.count %}
        {{ sli_rows(fact, sli_condition(sli)) }} as {{ sli.name }}_valid,
        {%- endif %}
        {%- set untold = var('sli_facts')[fact].dimensions | reject('in', sli.meta.by) | list %}
        {%- if untold %}
        if({{ 'grouping(' ~ untold | join(') = 0 or grouping(') ~ ') = 0' }}, null, {{ sli_value(sli) }})
            as {{ sli.name }},
        {%- else %}
        {{ sli_value(sli) }} as {{ sli.name }},
        {%- endif %}
    {%- endfor %}
{%- endmacro -%}
