with attempts as (
    select * from {{ ref('stg_fallback_attempts') }}
),

placed as (
    select
        run_id,
        resolver,
        artifact_key,
        outcome,
        elapsed_ms,
        if(
            artifact_key is null,
            null,
            row_number() over (
                partition by run_id, artifact_key order by ts, attempt_id, file_id
            )
        ) as place,
    from attempts
),

measured as (
    select
        run_id,
        resolver,
        count(*) as attempts,
        count(*) filter (outcome = 'success') as successes,
        count(*) filter (outcome = 'timeout') as timeouts,
        count(*) filter (outcome = 'skipped') as skipped,
        avg(place) as mean_place,
        -- a breaker's refusal takes no time, and is not the resolver's
        avg(elapsed_ms) filter (outcome <> 'skipped') as elapsed_mean_ms,
        quantile_cont(elapsed_ms, [0.5, 0.95]) filter (outcome = 'success') as success_ms,
        median(elapsed_ms) filter (outcome = 'timeout') as timeout_p50_ms,
    from placed
    group by run_id, resolver
),

final as (
    select
        run_id,
        resolver,
        attempts,
        successes,
        timeouts,
        mean_place,
        elapsed_mean_ms,
        success_ms[1] as success_p50_ms,
        success_ms[2] as success_p95_ms,
        timeout_p50_ms,
        skipped,
    from measured
)

select * from final
