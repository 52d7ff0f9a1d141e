with runs as (
    select run_id from {{ ref('int_chosen_runs') }}
),

-- what counts as better, the unit, and the smallest sample are the SLO's, whatever its scope
slos as (
    select
        slo,
        first(comparator order by scope, subject) as comparator,
        first(unit order by scope, subject) as unit,
        max(smallest_sample) as smallest_sample,
        bool_or(scope = 'run') as is_of_runs,
    from {{ ref('slo_targets') }}
    group by slo
),

baselines as (
    select
        run_id,
        list(baseline_run_id order by baseline_run_id) as run_ids,
    from {{ ref('int_regression_baselines') }}
    group by run_id
),

estimates as (
    select
        *,
        true as is_ratio,
    from {{ ref('regression_ratios') }}
    union all
    select
        *,
        false as is_ratio,
    from {{ ref('regression_percentiles') }}
),

verdicts as (
    select * from {{ ref('slo_verdicts') }}
    where scope = 'run'
),

-- every SLI of a run has a row, whether it was measured or not, and can be compared or not
expected as (
    select
        runs.run_id,
        'run' as scope,
        null as subject,
        slos.slo,
    from runs
    cross join slos
    where slos.is_of_runs
    union
    select
        run_id,
        scope,
        subject,
        slo,
    from estimates
),

joined as (
    select
        expected.*,
        slos.comparator,
        if(estimates.is_ratio, '%', slos.unit) as unit,
        slos.smallest_sample,
        estimates.slo is not null as is_comparable,
        coalesce(estimates.value, verdicts.value) as value,
        coalesce(estimates.sample_size, verdicts.sample_size) as sample_size,
        coalesce(estimates.baseline_runs, 0) as baseline_runs,
        coalesce(baselines.run_ids, []) as baseline_run_ids,
        estimates.* exclude (
            run_id, scope, subject, slo, is_ratio, baseline_runs, value, sample_size
        ),
    from expected
    inner join slos on expected.slo = slos.slo
    left join baselines on expected.run_id = baselines.run_id
    left join estimates
        on {{ same_slo('expected', 'estimates') }} and expected.run_id = estimates.run_id
    left join verdicts
        on {{ same_slo('expected', 'verdicts') }} and expected.run_id = verdicts.run_id
),

explained as (
    select
        *,
        case
            when value is null then 'nothing was measured'
            when not is_comparable then 'no interval is known for changes of this SLI'
            when len(baseline_run_ids) = 0 then 'no run before it'
            when baseline_value is null then 'nothing was measured before'
            when least(sample_size, baseline_sample_size) < smallest_sample
                then format('fewer than {:.0f} measured', smallest_sample)
            when change_low is null and dispersion > 1
                then format(
                    'the runs before differ too much for a percentile at {:g} %', {{ confidence() }}
                )
            when change_low is null
                then format('too few for a percentile at {:g} %', {{ confidence() }})
        end as missing,
    from joined
),

final as (
    select
        run_id,
        scope,
        subject,
        slo,
        comparator,
        unit,
        value,
        baseline_value,
        value - baseline_value as change,
        change_low,
        change_high,
        case
            when missing is not null then 'not_enough_data'
            when change_low > 0 then if(comparator = '>=', 'better', 'worse')
            when change_high < 0 then if(comparator = '>=', 'worse', 'better')
            else 'same'
        end as verdict,
        missing,
        value_low,
        value_high,
        baseline_low,
        baseline_high,
        coalesce(sample_size, 0) as sample_size,
        coalesce(baseline_sample_size, 0) as baseline_sample_size,
        effective_size,
        baseline_effective_size,
        dispersion,
        baseline_runs,
        baseline_run_ids,
        {{ confidence() }} as confidence_pct,
    from explained
)

select * from final
