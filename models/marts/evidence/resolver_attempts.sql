with attempts as (
    select * from {{ ref('stg_fallback_attempts') }}
),

measured as (
    select
        run_id,
        resolver,
        tier,
        count(*) as attempts,
        count(*) filter (outcome = 'success') as successes,
        count(*) filter (outcome = 'timeout') as timeouts,
        count(*) filter (outcome = 'error') as errors,
        quantile_cont(elapsed_ms, [0.5, 0.95]) as latency_ms,
    from attempts
    group by all
),

final as (
    select
        run_id,
        resolver,
        tier,
        attempts,
        successes,
        timeouts,
        errors,
        latency_ms[1] as latency_p50_ms,
        latency_ms[2] as latency_p95_ms,
    from measured
)

select * from final
