-- How much of a measure's change each segment explains. A ratio over segments is the sum of share x
-- rate; its change divides, without a remainder, into
--     within: mean share x change of the rate
--     mix:    change of the share x (mean rate - mean rate of all)
-- (Kitagawa 1955, "Components of a difference between two rates", J. Am. Stat. Assoc. 50: 1168).
-- It is done twice: over routes, and within each route over segments. There the shares need not sum
-- to 1, as an artifact may be asked of several resolvers: what is left, the change of their sum x
-- the mean rate, is a row of its own. Without runs to compare with, each route is held against the
-- target, and each segment against the rate at which its route would meet it.
with symptoms as (
    select * from {{ ref('diagnosis_symptoms') }}
    where compared_with in ('runs', 'target')
),

measured as (
    select * from {{ ref('diagnosis_measured') }}
),

joined as (
    select
        measured.*,
        symptoms.topic,
        symptoms.compared_with,
        symptoms.scale,
        symptoms.measure_target / symptoms.scale as part_target,
        symptoms.worse_sign,
        symptoms.compared_with = 'runs' as has_runs,
    from measured
    inner join symptoms
        on {{ same_slo('measured', 'symptoms') }}
    where
        measured.whole_now > 0
        and (symptoms.compared_with = 'target' or measured.whole_before > 0)
),

shared as (
    select
        *,
        coalesce(base_now, 0) / whole_now as weight_now,
        denominator_now / base_now as share_now,
        numerator_now / nullif(denominator_now, 0) as rate_now,
        if(has_runs, coalesce(base_before, 0) / whole_before, weight_now) as weight_before,
        if(has_runs, denominator_before / base_before, share_now) as share_before,
        case
            when has_runs then numerator_before / nullif(denominator_before, 0)
            else part_target / nullif(sum(share_now) over routes, 0)
        end as rate_before,
    from joined
    where
        kind = 'ratio'
        and (has_runs or base_now > 0)
    window routes as (partition by slo, scope, subject, dimension, route)
),

rated as (
    select
        *,
        -- a segment that one side does not have has only changed its share
        coalesce(rate_now, rate_before) as rate_now_or_before,
        coalesce(rate_before, rate_now) as rate_before_or_now,
        sum(share_now) over routes as depth_now,
        sum(share_before) over routes as depth_before,
        sum(share_now * rate_now) over routes as total_now,
        sum(share_before * rate_before) over routes as total_before,
        -- and a route that one side does not have, its weight
        coalesce(total_now, total_before, 0) as total_now_or_before,
        coalesce(total_before, total_now, 0) as total_before_or_now,
        (weight_now + weight_before) / 2
        * (depth_now is not null and depth_before is not null)::integer as mean_weight,
        (
            coalesce(total_now / nullif(depth_now, 0), 0)
            + coalesce(total_before / nullif(depth_before, 0), 0)
        ) / 2 as mean_rate,
    from shared
    window routes as (partition by slo, scope, subject, dimension, route)
),

of_segments as (
    select
        topic,
        slo,
        scope,
        subject,
        dimension,
        'segment' as part,
        segment,
        worse_sign,
        has_runs,
        numerator_now,
        denominator_now,
        numerator_before,
        denominator_before,
        whole_now,
        whole_before,
        weight_before * share_before as part_asked_before,
        weight_before * share_before * rate_before as part_before,
        scale * mean_weight * (coalesce(share_now, 0) + coalesce(share_before, 0)) / 2
        * (rate_now_or_before - rate_before_or_now) as within_effect,
        scale * mean_weight * (coalesce(share_now, 0) - coalesce(share_before, 0))
        * ((rate_now_or_before + rate_before_or_now) / 2 - mean_rate) as mix_effect,
    from rated
),

routes as (
    select
        topic,
        slo,
        scope,
        subject,
        dimension,
        route,
        worse_sign,
        scale,
        depth_now,
        depth_before,
        mean_weight,
        mean_rate,
        weight_now,
        weight_before,
        any_value((total_now_or_before + total_before_or_now) / 2) as mean_total,
        any_value(coalesce(weight_now * total_now, 0)) as part_now,
        any_value(coalesce(weight_before * total_before, 0)) as part_before,
    from rated
    group by all
),

-- a route is named by the segment that is asked first, which its weight is put down to
of_routes as (
    select
        *,
        scale * (weight_now - weight_before) * (
            mean_total
            - (sum(part_now) over wholes + sum(part_before) over wholes) / 2
        ) as weight_effect,
        scale * mean_weight * mean_rate * (depth_now - depth_before) as depth_effect,
    from routes
    window wholes as (partition by slo, scope, subject, dimension)
),

of_ratios as (
    select
        of_segments.topic,
        of_segments.slo,
        of_segments.scope,
        of_segments.subject,
        of_segments.dimension,
        of_segments.part,
        of_segments.segment,
        any_value(of_segments.worse_sign) as worse_sign,
        sum(of_segments.denominator_now) as denominator_now,
        if(
            any_value(of_segments.has_runs), sum(of_segments.denominator_before), null
        ) as denominator_before,
        100 * sum(of_segments.numerator_now) / nullif(sum(of_segments.denominator_now), 0)
            as rate_now_pct,
        100 * sum(of_segments.part_before) / nullif(sum(of_segments.part_asked_before), 0)
            as rate_before_pct,
        100 * sum(of_segments.denominator_now) / any_value(of_segments.whole_now) as share_now_pct,
        100 * coalesce(sum(of_segments.part_asked_before), 0) as share_before_pct,
        null as amount_now,
        null as amount_before,
        sum(coalesce(of_segments.within_effect, 0)) as within_effect,
        sum(coalesce(of_segments.mix_effect, 0)) + coalesce(any_value(of_routes.weight_effect), 0)
            as mix_effect,
    from of_segments
    left join of_routes
        on
            {{ same_slo('of_segments', 'of_routes') }}
            and of_segments.dimension = of_routes.dimension
            and of_segments.segment = of_routes.route
    group by
        of_segments.topic,
        of_segments.slo,
        of_segments.scope,
        of_segments.subject,
        of_segments.dimension,
        of_segments.part,
        of_segments.segment
    union all
    select
        topic,
        slo,
        scope,
        subject,
        dimension,
        'depth' as part,
        'asked per artifact' as segment,
        any_value(worse_sign) as worse_sign,
        null as denominator_now,
        null as denominator_before,
        null as rate_now_pct,
        null as rate_before_pct,
        null as share_now_pct,
        null as share_before_pct,
        sum(weight_now * depth_now) as amount_now,
        sum(weight_before * depth_before) as amount_before,
        0 as within_effect,
        sum(coalesce(depth_effect, 0)) as mix_effect,
    from of_routes
    group by topic, slo, scope, subject, dimension
    having sum(abs(coalesce(depth_effect, 0))) > 1e-9
),

of_shares as (
    select
        topic,
        slo,
        scope,
        subject,
        dimension,
        'segment' as part,
        segment,
        worse_sign,
        denominator_now,
        if(has_runs, denominator_before, null) as denominator_before,
        null as rate_now_pct,
        null as rate_before_pct,
        -- the whole of a count is a run, not what is counted
        100 * numerator_now / if(
            scale = 100, whole_now, nullif(sum(numerator_now) over dimensions, 0)
        ) as share_now_pct,
        if(
            has_runs,
            100 * numerator_before / if(
                scale = 100, whole_before, nullif(sum(numerator_before) over dimensions, 0)
            ),
            null
        ) as share_before_pct,
        if(scale = 100, null, numerator_now / whole_now) as amount_now,
        if(scale = 100 or not has_runs, null, numerator_before / whole_before) as amount_before,
        if(kind = 'loss', -1, 1) * scale * (
            numerator_now / whole_now - if(has_runs, numerator_before / whole_before, 0)
        ) as within_effect,
        0 as mix_effect,
    from joined
    where
        kind <> 'ratio'
        and segment is not null
        and (numerator_now > 0 or (has_runs and numerator_before > 0))
    window dimensions as (partition by slo, scope, subject, dimension)
    union all
    select
        any_value(joined.topic) as topic,
        joined.slo,
        joined.scope,
        joined.subject,
        joined.dimension,
        'allowance' as part,
        'allowed by the target' as segment,
        any_value(joined.worse_sign) as worse_sign,
        null as denominator_now,
        null as denominator_before,
        null as rate_now_pct,
        null as rate_before_pct,
        null as share_now_pct,
        null as share_before_pct,
        null as amount_now,
        null as amount_before,
        any_value(joined.scale * (if(joined.kind = 'loss', 1, 0) - joined.part_target))
            as within_effect,
        0 as mix_effect,
    from joined
    where
        joined.kind <> 'ratio'
        and not joined.has_runs
    group by joined.slo, joined.scope, joined.subject, joined.dimension
),

every as (
    from of_ratios
    union all
    from of_shares
),

final as (
    select
        topic,
        slo,
        scope,
        subject,
        dimension,
        part,
        segment,
        denominator_now,
        denominator_before,
        rate_now_pct,
        rate_before_pct,
        share_now_pct,
        share_before_pct,
        amount_now,
        amount_before,
        within_effect,
        mix_effect,
        within_effect + mix_effect as contribution,
        sum(within_effect + mix_effect) over (
            partition by slo, scope, subject, dimension
        ) as total_change,
        worse_sign * (within_effect + mix_effect) as worsening,
        row_number() over (
            partition by slo, scope, subject, dimension
            order by
                part = 'allowance' asc,
                round(worse_sign * (within_effect + mix_effect), 9) desc,
                segment asc,
                part asc
        ) as place,
    from every
)

select * from final
