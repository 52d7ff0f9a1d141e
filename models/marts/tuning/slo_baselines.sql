with targets as (
    select * from {{ ref('slo_targets') }}
),

observations as (
    select * from {{ ref('slo_observations') }}
),

final as (
    select
        targets.slo,
        targets.scope,
        targets.subject,
        targets.comparator,
        targets.target,
        targets.unit,
        count(distinct observations.run_id) filter (status <> 'no_data') as runs,
        count(distinct observations.run_id)
        - count(distinct observations.run_id) filter (status <> 'no_data') as runs_without_data,
        count(observations.value) as observations,
        count(*) filter (status = 'no_data') as observations_without_data,
        count(*) filter (status = 'fail') as observations_failing,
        count(distinct observations.run_id) filter (status = 'fail') as runs_failing,
        {{ percentage("count(*) filter (status = 'fail')", 'count(observations.value)') }}
            as failing_pct,
        min(observations.value) as lowest,
        quantile_disc(observations.value, 0.05) as p5,
        quantile_disc(observations.value, 0.10) as p10,
        quantile_disc(observations.value, 0.50) as p50,
        quantile_disc(observations.value, 0.90) as p90,
        quantile_disc(observations.value, 0.95) as p95,
        max(observations.value) as highest,
    from targets
    left join observations
        on {{ same_slo('targets', 'observations', subject='target_subject') }}
    group by
        targets.slo,
        targets.scope,
        targets.subject,
        targets.comparator,
        targets.target,
        targets.unit
)

select * from final
