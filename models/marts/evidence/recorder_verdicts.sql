with recorders as (
    select * from {{ ref('recorder_health') }}
),

criteria as (
    select max(threshold) as overhead_limit_pct
    from {{ ref('gate_criteria') }}
    where criterion = 'overhead'
),

shares as (
    select
        recorders.run_id,
        recorders.writers,
        recorders.events,
        recorders.events_dropped,
        recorders.values_damaged,
        recorders.first_error,
        100 * recorders.events_dropped / nullif(recorders.events, 0) as dropped_pct,
        recorders.recorded_s,
        recorders.recorded_s < {{ var('overhead_run_s_min') }} as is_short,
        100 * recorders.call_s / recorders.recorded_s as call_pct,
        100 * recorders.writer_cpu_s / recorders.recorded_s as writer_pct,
        if(not is_short, call_pct + writer_pct, null) as overhead_pct,
        criteria.overhead_limit_pct,
    from recorders
    cross join criteria
),

final as (
    select
        *,
        case
            when overhead_pct is null then 'unknown'
            when overhead_pct >= overhead_limit_pct then 'bad'
            when overhead_pct >= {{ var('overhead_warning_pct') }} then 'warning'
            else 'good'
        end as overhead_status,
        case
            when events_dropped is null or values_damaged is null then 'unknown'
            when dropped_pct > {{ var('lost_rows_bad_pct') }} then 'bad'
            when events_dropped > 0 or values_damaged > 0 or first_error is not null then 'warning'
            else 'good'
        end as loss_status,
    from shares
)

select * from final
