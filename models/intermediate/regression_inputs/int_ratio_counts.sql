{{ config(materialized='incremental') }}

{#- the SLIs that are shares, by their facts -#}
{%- set told = {} -%}
{%- for sli in var('slis') if sli_is_ratio(sli) == 'true' -%}
{%- do told.setdefault(sli.meta.fact, []).append(sli) -%}
{%- endfor %}

with
{% for fact, ratios in told.items() if var('sli_facts')[fact].alike_within %}
{%- set declared = var('sli_facts')[fact] %}
{{ fact }} as (
    select
        *,
        date_trunc('{{ declared.alike_within }}', {{ declared.at }}) as stretch_at,
    from {{ ref(declared.model) }}
    {{ where_touched() }}
),

{{ fact }}_counted as (
    select
        run_id,
        {{ sli_scope(fact) }},
        {{ sli_counts(ratios) }}
    from {{ fact }}
    group by grouping sets ({{ sli_groups(fact, [['run_id', 'stretch_at']]) }})
),

{% endfor %}
{% for fact, ratios in told.items() if not var('sli_facts')[fact].alike_within %}
{{ fact }}_counted as (
    select
        run_id,
        scope,
        subject,
        {%- for sli in ratios %}
        {%- set valid = sli.name ~ '_valid' %}
        {%- if sli.meta.count %}
        {{ sli.name }} as {{ sli.name }}_counted,
        {%- elif sli.meta.good %}
        {{ sli.name }}_good as {{ sli.name }}_counted,
        {%- else %}
        {{ valid }} - {{ sli.name }}_good as {{ sli.name }}_counted,
        {%- endif %}
        {{ valid }},
        {{ valid }} as {{ sli.name }}_rows,
        {{ valid }} as {{ sli.name }}_weights_squared,
        {%- endfor %}
    from {{ ref(var('sli_facts')[fact].measures) }}
    {{ where_touched("grain = 'run'") }}
),

{% endfor %}
final as (
    {% for fact, ratios in told.items() %}
    {%- set are_alike = var('sli_facts')[fact].alike_within %}
    {%- set is_last_fact = loop.last %}
    {%- for sli in ratios %}
    select
        run_id,
        scope,
        subject,
        '{{ sli.name }}' as slo,
        sum({{ sli.name }}_counted)::double as numerator,
        sum({{ sli.name }}_valid)::double as denominator,
        sum({{ sli.name }}_rows)::double as observations,
        sum({{ sli.name }}_weights_squared)::double as weights_squared,
        {%- if are_alike %}
        sum(pow({{ sli.name }}_counted, 2)) as numerators_squared,
        sum({{ sli.name }}_counted * {{ sli.name }}_valid) as products,
        sum(pow({{ sli.name }}_valid, 2)) as denominators_squared,
        count(*) as clusters,
        {%- else %}
        null::double as numerators_squared,
        null::double as products,
        null::double as denominators_squared,
        null::bigint as clusters,
        {%- endif %}
    from {{ fact }}_counted
    where
        {{ sli.name }}_valid > 0
        and scope in ('run'{% for by in sli.meta.by %}, 'run_{{ by }}'{% endfor %})
    group by run_id, scope, subject
    {{ 'union all' if not (loop.last and is_last_fact) }}
    {%- endfor %}
    {%- endfor %}
)

select * from final
