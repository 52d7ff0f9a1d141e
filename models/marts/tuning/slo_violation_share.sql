with targets as (
    select * from {{ ref('slo_targets') }}
),

observations as (
    select * from {{ ref('slo_observations') }}
    where status <> 'no_data'
),

-- a run misses a target if any role or host that the target is for does
judged as (
    select
        run_id,
        slo,
        scope,
        target_subject,
        any_value(length_s) as length_s,
        bool_or(status = 'fail') as has_failed,
    from observations
    group by run_id, slo, scope, target_subject
),

final as (
    select
        targets.slo,
        targets.scope,
        targets.subject,
        count(judged.run_id) as runs,
        count(*) filter (judged.has_failed) as runs_failing,
        sum(judged.length_s) as judged_s,
        coalesce(sum(judged.length_s) filter (judged.has_failed), 0 * sum(judged.length_s))
            as failing_s,
        {{ percentage('failing_s', 'judged_s') }} as violation_pct,
    from targets
    left join judged
        on {{ same_slo('targets', 'judged', subject='target_subject') }}
    group by targets.slo, targets.scope, targets.subject
)

select * from final
