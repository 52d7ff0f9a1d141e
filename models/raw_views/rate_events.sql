with final as (
    select
        id,
        run_id,
        {{ unix_seconds('ts', 'ts_text') }} as ts,
        host,
        role,
        action,
        delay_ms,
        max_delay_ms,
        file_id,
    from {{ source('raw', 'rate_events') }}
)

select * from final
