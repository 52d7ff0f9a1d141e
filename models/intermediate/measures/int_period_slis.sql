-- Of all runs together: ratios of the sums over a period, percentiles of all its observations. No
-- value of a shorter period or of a run is averaged.
with grains as (
    select grain
    from unnest(['day', 'week']) as known (grain)
    where grain = {{ asked('trend_by', 'varchar', 'grain') }}
),

moment as (
    select as_of from {{ ref('int_moment') }}
),

{% for fact, declared in var('sli_facts').items() if declared.model %}
{{ fact }} as (
    select
        grains.grain,
        {{ period_start('grains.grain', 'facts.day') }} as starts_on,
        facts.* exclude (day),
    from {{ ref(declared.model) }} as facts
    cross join grains
    cross join moment
    where
        {{ periods_asked() }}
        and facts.{{ declared.at }} <= moment.as_of
        {%- if declared.where %}
        and facts.{{ declared.where }}
        {%- endif %}
),

of_{{ fact }} as (
    select
        grain,
        starts_on,
        {{ sli_scope(fact) }},
        {{ sli_measures(fact) }}
    from {{ fact }}
    group by grouping sets ({{ sli_groups(fact, [['grain', 'starts_on']]) }})
),
{% endfor %}

hours as (
    select
        grains.grain,
        {{ period_start('grains.grain', 'hours.starts_at::date') }} as starts_on,
        hours.scope,
        hours.subject,
        hours.breaker_transitions,
        hours.breaker_opens,
        hours.breaker_opens_per_hour,
    from {{ ref('int_breaker_slis') }} as hours
    cross join grains
    cross join moment
    where
        {{ periods_asked() }}
        and hours.grain = 'hour'
        and hours.starts_at <= moment.as_of
),

of_breakers as (
    select
        grain,
        starts_on,
        scope,
        subject,
        sum(breaker_transitions) as breaker_transitions,
        sum(breaker_opens) as breaker_opens,
        max(breaker_opens_per_hour) as breaker_opens_per_hour,
    from hours
    group by grain, starts_on, scope, subject
),

together as (
    {% for fact, declared in var('sli_facts').items() if declared.model %}
    select {{ sli_headlines(fact, ['grain', 'starts_on']) }}
    from of_{{ fact }}
    union all by name
    {% endfor %}
    select * from of_breakers
),

numbers as (
    select
        grain,
        starts_on,
        scope,
        subject,
        columns(* exclude (grain, starts_on, scope, subject))::double,
    from together
),

final as (
    from numbers
    unpivot (amount for measure in (* exclude (grain, starts_on, scope, subject)))
)

select * from final
