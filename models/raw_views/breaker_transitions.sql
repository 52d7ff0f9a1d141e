with final as (
    select
        id,
        run_id,
        {{ unix_seconds('ts', 'ts_text') }} as ts,
        host,
        scope,
        old_state,
        new_state,
        reset_timeout_s,
        details,
        file_id,
    from {{ source('raw', 'breaker_transitions') }}
)

select * from final
