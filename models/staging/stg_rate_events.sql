with events as (
    select
        raw_events.*,
        {{ unix_seconds('raw_events.ts', 'raw_events.ts_text') }} as seconds,
    from {{ source('raw', 'rate_events') }} as raw_events
),

final as (
    select
        run_id,
        id as event_id,
        seconds as ts,
        {{ utc_timestamp('seconds') }} as occurred_at,
        coalesce({{ host_name('host') }}, 'unknown') as host,
        coalesce({{ lower_word('role') }}, 'unknown') as role,
        {{ lower_word('action') }} as action,
        delay_ms,
        max_delay_ms,
        file_id,
        load_id,
    from events
    where ({{ row_defect('seconds') }}) is null
)

select * from final
