with summaries as (
    select
        raw_summaries.*,
        {{ unix_seconds('raw_summaries.started_at', 'raw_summaries.started_at_text') }}
            as started_seconds,
        {{ unix_seconds('raw_summaries.finished_at', 'raw_summaries.finished_at_text') }}
            as finished_seconds,
    from {{ source('raw', 'run_summary') }} as raw_summaries
),

final as (
    select
        run_id,
        {{ utc_timestamp('started_seconds') }} as started_at,
        {{ utc_timestamp('finished_seconds') }} as finished_at,
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
        load_id,
    from summaries
    where ({{ row_defect() }}) is null and {{ is_counted('run_summary', 'summaries') }}
)

select * from final
