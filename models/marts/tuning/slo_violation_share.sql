with targets as (
    select * from {{ ref('slo_targets') }}
),

runs as (
    select * from {{ ref('slo_run_values') }}
),

final as (
    select
        targets.slo,
        targets.scope,
        targets.subject,
        count(runs.run_id) as runs,
        count(*) filter (has_failed) as runs_failing,
        sum(length_s) as judged_s,
        coalesce(sum(length_s) filter (has_failed), 0 * judged_s) as failing_s,
        {{ percentage('failing_s', 'judged_s') }} as violation_pct,
    from targets
    left join runs on {{ same_slo('targets', 'runs', subject='target_subject') }}
    group by all
)

select * from final
