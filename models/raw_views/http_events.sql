with final as (
    select
        id,
        run_id,
        {{ unix_seconds('ts', 'ts_text') }} as ts,
        host,
        role,
        method,
        status,
        url_hash,
        from_cache,
        revalidated,
        stale,
        retry_count,
        retry_after_s,
        rate_delay_ms,
        sample_weight,
        breaker_state,
        breaker_recorded,
        elapsed_ms,
        error,
        file_id,
    from {{ source('raw', 'http_events') }}
)

select * from final
