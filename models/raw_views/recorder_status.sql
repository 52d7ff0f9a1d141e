with final as (
    select
        id,
        run_id,
        writer,
        {{ unix_seconds('started_at', 'started_at_text') }} as started_at,
        {{ unix_seconds('updated_at', 'updated_at_text') }} as updated_at,
        events,
        dropped,
        damaged_values,
        call_s,
        writer_cpu_s,
        first_error,
        file_id,
    from {{ source('raw', 'recorder_status') }}
)

select * from final
