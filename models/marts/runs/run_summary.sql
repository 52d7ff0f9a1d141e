with runs as (
    select * from {{ ref('int_runs') }}
),

slis as (
    select * from {{ ref('run_slis') }}
),

final as (
    select
        runs.run_id,
        runs.started_at,
        runs.finished_at,
        slis.artifacts as artifacts_total,
        slis.artifacts_success,
        slis.yield_pct,
        slis.ttfp_p50_ms,
        slis.ttfp_p95_ms,
        slis.cache_hit_pct,
        slis.rate_delay_p95_ms,
        slis.http_429_pct as http_429_ratio,
        slis.breaker_opens as breaker_open_events,
        slis.dedupe_saved_mb,
        slis.corruption_count,
    from runs
    left join slis on runs.run_id = slis.run_id
)

select * from final
