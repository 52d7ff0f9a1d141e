with counts as (
    select * from {{ ref('int_ratio_counts') }}
),

chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

baselines as (
    select * from {{ ref('int_regression_baselines') }}
),

levels as (
    select {{ normal_quantile('chance') }} as z
    from (select 1 - (1 - {{ confidence() }} / 100) / 2 as chance)
),

before as (
    select
        baselines.run_id,
        counts.* exclude (run_id),
        numerator / denominator as share,
        sum(numerator) over together / sum(denominator) over together as share_of_all,
        {{ effective_size('counts') }} as size,
    from baselines
    inner join counts on baselines.baseline_run_id = counts.run_id
    window together as (partition by baselines.run_id, scope, subject, slo)
),

-- how much more the runs before differ than chance makes them: Pearson's statistic by its degrees
-- of freedom (P. McCullagh, J. A. Nelder 1989, "Generalized Linear Models", 2nd ed., section 4.5)
pooled as (
    select
        run_id,
        scope,
        subject,
        slo,
        sum(columns(* exclude (run_id, scope, subject, slo, share, share_of_all, size))),
        count(*) as runs,
        sum(size * pow(share - share_of_all, 2))
        / nullif(any_value(share_of_all * (1 - share_of_all)), 0) / (runs - 1) as spread,
    from before
    group by all
),

sided as (
    select
        counts.run_id,
        counts.scope,
        counts.subject,
        counts.slo,
        counts.numerator / counts.denominator as share,
        pooled.numerator / pooled.denominator as share_before,
        counts.observations as sample_size,
        pooled.observations as baseline_sample_size,
        if(
            pooled.runs >= {{ var('regression_spread_runs_min') }},
            greatest(1, coalesce(pooled.spread, 1)),
            1
        ) as dispersion,
        {{ effective_size('counts') }} / dispersion as effective_size,
        {{ effective_size('pooled') }} / dispersion as baseline_effective_size,
        pooled.runs as baseline_runs,
        levels.z,
    from counts
    semi join chosen on counts.run_id = chosen.run_id
    cross join levels
    left join pooled on {{ same_slo('counts', 'pooled') }} and counts.run_id = pooled.run_id
),

bounded as (
    select
        *,
        {{ wilson_interval('share', 'effective_size', 'z') }} as around,
        {{ wilson_interval('share_before', 'baseline_effective_size', 'z') }} as around_before,
        -- events come whole, the interval's mathematics does not: half of one on each side
        (1 / effective_size + 1 / baseline_effective_size) / 2 as half_an_event,
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
        if(difference is null, null, 100 * greatest(-1, difference.low - half_an_event))
            as change_low,
        if(difference is null, null, 100 * least(1, difference.high + half_an_event))
            as change_high,
        sample_size,
        baseline_sample_size,
        effective_size,
        baseline_effective_size,
        baseline_runs,
        dispersion,
    from compared
)

select * from final
