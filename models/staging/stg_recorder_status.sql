with statuses as (
    select
        raw_statuses.*,
        {{ unix_seconds('raw_statuses.started_at', 'raw_statuses.started_at_text') }}
            as started_seconds,
        {{ unix_seconds('raw_statuses.updated_at', 'raw_statuses.updated_at_text') }}
            as updated_seconds,
    from {{ source('raw', 'recorder_status') }} as raw_statuses
),

final as (
    select
        run_id,
        writer,
        {{ utc_timestamp('started_seconds') }} as started_at,
        {{ utc_timestamp('updated_seconds') }} as updated_at,
        -- not greatest() alone, which is 0 for NULL
        if(events is null, null, greatest(events, 0)) as events,
        if(dropped is null, null, greatest(dropped, 0)) as events_dropped,
        if(damaged_values is null, null, greatest(damaged_values, 0)) as values_damaged,
        if(call_s >= 0, call_s, null) as call_s,
        if(writer_cpu_s >= 0, writer_cpu_s, null) as writer_cpu_s,
        {{ non_blank('first_error') }} as first_error,
        file_id,
        load_id,
    from statuses
    where ({{ row_defect() }}) is null
)

select * from final
