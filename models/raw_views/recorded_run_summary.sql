with final as (
    select
        run_id,
        {{ unix_seconds('started_at', 'started_at_text') }} as started_at,
        {{ unix_seconds('finished_at', 'finished_at_text') }} as finished_at,
        artifacts_total,
        artifacts_success,
        yield_pct,
        ttfp_p50_ms,
        ttfp_p95_ms,
        cache_hit_pct,
        rate_delay_p95_ms,
        http_429_ratio,
        breaker_open_events,
        dedupe_saved_mb,
        corruption_count,
        file_id,
    from {{ source('raw', 'run_summary') }}
)

select * from final
