with counts as (
    select * from {{ ref('int_ratio_counts') }}
),

chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

baselines as (
    select * from {{ ref('regression_baselines') }}
),

levels as (
    select {{ normal_quantile('chance') }} as z
    from (select 1 - (1 - {{ confidence() }} / 100) / 2 as chance)
),

before as (
    select
        baselines.run_id,
        counts.* exclude (run_id),
        {{ effective_size(
            'counts.observations', 'counts.numerator', 'counts.denominator',
            'counts.weights_squared', 'counts.numerators_squared', 'counts.products',
            'counts.denominators_squared', 'counts.clusters'
        ) }} as size,
    from baselines
    inner join counts on baselines.baseline_run_id = counts.run_id
),

pooled as (
    select
        run_id,
        scope,
        subject,
        slo,
        count(*) as runs,
        sum(observations) as observations,
        sum(numerator) / sum(denominator) as share,
        sum(numerator) as numerator,
        sum(denominator) as denominator,
        sum(weights_squared) as weights_squared,
        sum(numerators_squared) as numerators_squared,
        sum(products) as products,
        sum(denominators_squared) as denominators_squared,
        sum(clusters) as clusters,
    from before
    group by run_id, scope, subject, slo
),

-- how much more the runs before differ than chance makes them: Pearson's statistic by its degrees
-- of freedom (P. McCullagh, J. A. Nelder 1989, "Generalized Linear Models", 2nd ed., section 4.5)
spread as (
    select
        before.run_id,
        before.scope,
        before.subject,
        before.slo,
        sum(before.size * pow(before.numerator / before.denominator - pooled.share, 2))
        / nullif(any_value(pooled.share * (1 - pooled.share)), 0) / (count(*) - 1) as dispersion,
    from before
    inner join pooled
        on
            {{ same_slo('before', 'pooled') }}
            and before.run_id = pooled.run_id
    group by before.run_id, before.scope, before.subject, before.slo
    having count(*) >= {{ var('regression_spread_runs_min') }}
),

sided as (
    select
        counts.run_id,
        counts.scope,
        counts.subject,
        counts.slo,
        counts.numerator / counts.denominator as share,
        pooled.share as share_before,
        counts.observations,
        pooled.observations as observations_before,
        pooled.runs as runs_before,
        greatest(1, coalesce(spread.dispersion, 1)) as dispersion,
        {{ effective_size(
            'counts.observations', 'counts.numerator', 'counts.denominator',
            'counts.weights_squared', 'counts.numerators_squared', 'counts.products',
            'counts.denominators_squared', 'counts.clusters'
        ) }} / greatest(1, coalesce(spread.dispersion, 1)) as size,
        {{ effective_size(
            'pooled.observations', 'pooled.numerator', 'pooled.denominator',
            'pooled.weights_squared', 'pooled.numerators_squared', 'pooled.products',
            'pooled.denominators_squared', 'pooled.clusters'
        ) }} / greatest(1, coalesce(spread.dispersion, 1)) as size_before,
        levels.z,
    from counts
    semi join chosen on counts.run_id = chosen.run_id
    cross join levels
    left join pooled
        on
            {{ same_slo('counts', 'pooled') }}
            and counts.run_id = pooled.run_id
    left join spread
        on
            {{ same_slo('counts', 'spread') }}
            and counts.run_id = spread.run_id
),

bounded as (
    select
        *,
        {{ wilson_interval('share', 'size', 'z') }} as around,
        {{ wilson_interval('share_before', 'size_before', 'z') }} as around_before,
        -- events come whole, the interval's mathematics does not: half of one on each side
        (1 / size + 1 / size_before) / 2 as half_an_event,
    from sided
),

compared as (
    select
        *,
        {{ difference_interval('share', 'around', 'share_before', 'around_before') }} as difference,
    from bounded
),

final as (
    select
        run_id,
        scope,
        subject,
        slo,
        100 * share as value,
        100 * around.low as value_low,
        100 * around.high as value_high,
        100 * share_before as baseline_value,
        100 * around_before.low as baseline_low,
        100 * around_before.high as baseline_high,
        if(difference.low is null, null, 100 * greatest(-1, difference.low - half_an_event))
            as change_low,
        if(difference.high is null, null, 100 * least(1, difference.high + half_an_event))
            as change_high,
        observations as sample_size,
        observations_before as baseline_sample_size,
        size as effective_size,
        size_before as baseline_effective_size,
        runs_before as baseline_runs,
        dispersion,
    from compared
)

select * from final
