-- How much of a measure's change each segment explains. A ratio over segments is the sum of share x
-- rate, whose change is divided (macro kitagawa) twice: over routes, and within each route over
-- segments. Without runs to compare with, each route is held against the target, and each segment
-- against the rate at which its route would meet it.
{%- set measure = 'slo, scope, subject, dimension' %}
{%- set route = measure ~ ', route' %}
{%- set told = 'topic, worse_sign, ' ~ measure %}

with compared as (
    select * from {{ ref('diagnosis_compared') }}
),

shared as (
    select
        *,
        coalesce(base_now, 0) / whole_now as weight_now,
        denominator_now / base_now as share_now,
        numerator_now / nullif(denominator_now, 0) as rate_now,
        if(has_runs, coalesce(base_before, 0) / whole_before, weight_now) as weight_before,
        if(has_runs, denominator_before / base_before, share_now) as share_before,
        coalesce(
            numerator_before / nullif(denominator_before, 0),
            part_target / nullif(sum(share_now) over routes, 0)
        ) as rate_before,
    from compared
    where
        kind = 'ratio'
        and (has_runs or base_now > 0)
    window routes as (partition by {{ route }})
),

divided as (
    {{ kitagawa('shared', route) }}
),

weighted as (
    select
        *,
        -- a route that one side does not have has only changed its weight
        scale * (weight_now + weight_before) / 2
        * (depth_now is not null and depth_before is not null)::integer as mean_weight,
        (coalesce(total_now, total_before, 0) + coalesce(total_before, total_now, 0)) / 2
        - (
            coalesce(sum(weight_now * share_now * rate_now) over dimensions, 0)
            + coalesce(sum(weight_before * share_before * rate_before) over dimensions, 0)
        ) / 2 as above_mean,
        -- a route is named by the segment that is asked first, which its weight is put down to
        if(segment = route, scale * (weight_now - weight_before) * above_mean, 0) as weight_effect,
        sum(mean_weight * depth_effect) over routes as depth_effect_of_route,
    from divided
    window
        dimensions as (partition by {{ measure }}),
        routes as (partition by {{ route }})
),

every as (
    select
        {{ told }},
        'segment' as part,
        segment,
        sum(denominator_now) as denominator_now,
        sum(denominator_before) as denominator_before,
        100 * sum(numerator_now) / nullif(sum(denominator_now), 0) as rate_now_pct,
        sum(weight_before * share_before) as part_asked_before,
        100 * sum(weight_before * share_before * rate_before) / nullif(part_asked_before, 0)
            as rate_before_pct,
        100 * sum(denominator_now) / any_value(whole_now) as share_now_pct,
        100 * coalesce(part_asked_before, 0) as share_before_pct,
        sum(coalesce(mean_weight * within_effect, 0)) as within_effect,
        sum(coalesce(mean_weight * mix_effect, 0) + coalesce(weight_effect, 0)) as mix_effect,
    from weighted
    group by {{ told }}, segment
    union all by name
    select
        {{ told }},
        'depth' as part,
        'asked per artifact' as segment,
        sum(weight_now * share_now) as amount_now,
        sum(weight_before * share_before) as amount_before,
        0 as within_effect,
        sum(coalesce(mean_weight * depth_effect, 0)) as mix_effect,
    from weighted
    group by {{ told }}
    having max(abs(depth_effect_of_route)) > 1e-9
    union all by name
    select
        {{ told }},
        'segment' as part,
        segment,
        denominator_now,
        denominator_before,
        -- the whole of a count is a run, not what is counted
        100 * numerator_now / if(
            scale = 100, whole_now, nullif(sum(numerator_now) over dimensions, 0)
        ) as share_now_pct,
        100 * numerator_before / if(
            scale = 100, whole_before, nullif(sum(numerator_before) over dimensions, 0)
        ) as share_before_pct,
        if(scale = 100, null, numerator_now / whole_now) as amount_now,
        if(scale = 100, null, numerator_before / whole_before) as amount_before,
        if(kind = 'loss', -1, 1) * scale
        * (numerator_now / whole_now - coalesce(numerator_before / whole_before, 0))
            as within_effect,
        0 as mix_effect,
    from compared
    where
        kind <> 'ratio'
        and segment is not null
        and (numerator_now > 0 or numerator_before > 0)
    window dimensions as (partition by {{ measure }})
    union all by name
    select distinct
        {{ told }},
        'allowance' as part,
        'allowed by the target' as segment,
        scale * (if(kind = 'loss', 1, 0) - part_target) as within_effect,
        0 as mix_effect,
    from compared
    where
        kind <> 'ratio'
        and not has_runs
),

final as (
    select
        * exclude (worse_sign, part_asked_before, within_effect, mix_effect),
        within_effect,
        mix_effect,
        within_effect + mix_effect as contribution,
        sum(contribution) over dimensions as total_change,
        worse_sign * contribution as worsening,
        row_number() over (
            dimensions
            order by part = 'allowance' asc, round(worsening, 9) desc, segment asc, part asc
        ) as place,
    from every
    window dimensions as (partition by {{ measure }})
)

select * from final
