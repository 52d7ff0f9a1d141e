with targets as (
    select * from {{ ref('slo_targets') }}
),

observations as (
    select * from {{ ref('slo_observations') }}
),

final as (
    select
        targets.* exclude (objective_pct, window_days, smallest_sample),
        count(distinct observations.run_id) filter (status <> 'no_data') as runs,
        count(distinct observations.run_id) - runs as runs_without_data,
        count(observations.value) as observations,
        count(*) filter (status = 'no_data') as observations_without_data,
        count(*) filter (status = 'fail') as observations_failing,
        count(distinct observations.run_id) filter (status = 'fail') as runs_failing,
        {{ percentage('observations_failing', 'count(observations.value)') }} as failing_pct,
        min(observations.value) as lowest,
        {%- for pct in [5, 10, 50, 90, 95] %}
        quantile_disc(observations.value, {{ pct / 100 }}) as p{{ pct }},
        {%- endfor %}
        max(observations.value) as highest,
    from targets
    left join observations
        on {{ same_slo('targets', 'observations', subject='target_subject') }}
    group by all
)

select * from final
