-- What SLIs are made of, by the dimensions of their facts. Of a percentile that is what lies beyond
-- the target, and the mean of amounts cut off at the target, as one of an hour would else make up
-- most of it.
{%- set ratios = [] %}
{%- set percentiles = [] %}
{%- for sli in var('slis') if sli.meta.parts is not defined or sli.meta.parts %}
{%- if sli_is_ratio(sli) == 'true' %}{% do ratios.append(sli) %}{% endif %}
{%- if sli.meta.column %}{% do percentiles.append(sli) %}{% endif %}
{%- endfor %}
{%- set facts = var('sli_facts') %}

with limits as (
    select
        run_id,
        slo,
        scope,
        subject,
        target,
    from {{ ref('slo_index') }}
),

{% for fact in ratios | map(attribute='meta.fact') | unique %}
{{ fact }} as (

    select
        run_id,
        {{ facts[fact].dimensions | join(', ') }},
        {%- for sli in ratios if sli.meta.fact == fact %}
        {{ sli_counted(sli) }} as {{ sli.name }}_counted,
        {{ sli_rows(fact, sli_condition(sli)) }} as {{ sli.name }}_valid,
        {%- endfor %}
    from {{ ref(facts[fact].model) }}
    group by run_id, {{ facts[fact].dimensions | join(', ') }}
),

{% endfor %}
{% for sli in percentiles %}
{%- set fact = facts[sli.meta.fact] %}
{{ sli.name }} as (

    select
        facts.run_id,
        limits.scope,
        limits.subject,
        {%- for dimension in fact.dimensions %}
        facts.{{ dimension }},
        {%- endfor %}
        count(*) filter (facts.{{ sli.meta.column }} > limits.target) as beyond,
        count(*) as observations,
        sum(greatest(0, least(facts.{{ sli.meta.column }}, limits.target))) as amount,
    from {{ ref(fact.model) }} as facts
    inner join limits
        on
            facts.run_id = limits.run_id
            and limits.slo = '{{ sli.name }}'
            and case limits.scope
                {%- for dimension in fact.dimensions %}
                when 'run_{{ dimension }}' then facts.{{ dimension }} = limits.subject
                {%- endfor %}
                else true
            end
    where facts.{{ sli.meta.column }} is not null
    group by all
),

{% endfor %}
counted as (
    {% for sli in ratios %}
    {%- set dimensions = facts[sli.meta.fact].dimensions %}
    {%- for scope in [none] + dimensions if scope is none or scope in sli.meta.by %}
    {%- for part in sli.meta.parts or dimensions if part != scope %}
    select
        run_id,
        '{{ sli.name }}' as slo,
        '{{ 'run_' ~ scope if scope else 'run' }}' as scope,
        {{ scope or 'null' }} as subject,
        '{{ part }}' as dimension,
        {{ part }} as segment,
        sum({{ sli.name }}_counted) as numerator,
        sum({{ sli.name }}_valid) as denominator,
    from {{ sli.meta.fact }}
    where {{ sli.name }}_valid > 0
    group by all
    union all
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
    {% for sli in percentiles %}
    {%- set dimensions = facts[sli.meta.fact].dimensions %}
    {%- for part in sli.meta.parts or dimensions %}
    {%- for slo, amount in [(sli.name, 'beyond'), (sli.name ~ '_mean', 'amount')] %}
    select
        run_id,
        '{{ slo }}' as slo,
        scope,
        subject,
        '{{ part }}' as dimension,
        {{ part }} as segment,
        sum({{ amount }}) as numerator,
        sum(observations) as denominator,
    from {{ sli.name }}
    where scope <> 'run_{{ part }}'
    group by all
    union all
    {%- endfor %}
    {%- endfor %}
    {%- endfor %}
    select
        null as run_id,
        null as slo,
        null as scope,
        null as subject,
        null as dimension,
        null as segment,
        null as numerator,
        null as denominator,
    where false
),

final as (
    select
        run_id,
        slo,
        scope,
        subject::varchar as subject,
        dimension,
        'ratio' as kind,
        'all' as route,
        segment,
        numerator::double as numerator,
        denominator::double as denominator,
        sum(denominator::double) over (partition by run_id, slo, scope, subject, dimension) as base,
    from counted
)

select * from final
