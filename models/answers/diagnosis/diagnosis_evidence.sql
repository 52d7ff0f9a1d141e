-- The rows behind a cause: what was recorded of its resolver, host or breaker, and how often.
with recorded as (
    select
        *,
        len({{ diagnosed_baselines() }}) as runs_before,
    from {{ ref('diagnosis_recorded') }}
),

compared as (
    select
        topic,
        slo,
        scope,
        subject,
        segment,
        found_in,
        what,
        coalesce(sum(amount) filter (is_now), 0) as rows_now,
        -- of one run, where several are compared
        coalesce(sum(amount) filter (not is_now), 0) / nullif(runs_before, 0) as rows_before,
        max(elapsed_p50_ms) filter (is_now) as elapsed_p50_ms,
        min(example) filter (is_now) as example,
        min(first_at) filter (is_now) as first_at,
        max(last_at) filter (is_now) as last_at,
        coalesce(sum(weight) filter (is_now), 0)
        - coalesce(sum(weight) filter (not is_now), 0) / greatest(runs_before, 1) as growth,
    from recorded
    group by topic, slo, scope, subject, segment, found_in, what, runs_before
),

final as (
    select
        * exclude (growth),
        row_number() over (
            partition by slo, scope, subject, segment
            order by growth desc, rows_now desc, found_in asc, what asc
        ) as place,
    from compared
    qualify place <= {{ var('diagnosis_evidence_rows') }}
)

select * from final
