with attempts as (
    select * from {{ ref('stg_fallback_attempts') }}
),

counted as (
    select
        run_id,
        resolver,
        tier,
        host,
        outcome,
        reason,
        status,
        count(*) as attempts,
        median(elapsed_ms) as elapsed_p50_ms,
        min(artifact_key) as example_artifact,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
    from attempts
    group by all
),

-- a reason may hold anything, a number that is new each time too
final as (
    select * from counted
    qualify row_number() over (
        partition by run_id, resolver
        order by attempts desc, outcome asc, reason asc, status asc, tier asc, host asc
    ) <= {{ var('diagnosis_kept_rows') }}
)

select * from final
