with writers as (
    select * from {{ ref('stg_recorder_status') }}
),

final as (
    select
        run_id,
        count(*) as writers,
        sum(events)::bigint as events,
        sum(events_dropped)::bigint as events_dropped,
        sum(values_damaged)::bigint as values_damaged,
        sum(call_s) as call_s,
        sum(writer_cpu_s) as writer_cpu_s,
        sum(if(updated_at > started_at, epoch(updated_at - started_at), null)) as recorded_s,
        first(first_error order by started_at asc nulls last, writer asc) filter (
            first_error is not null
        ) as first_error,
    from writers
    group by run_id
)

select * from final
