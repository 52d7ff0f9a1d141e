with chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

rejected as (
    select
        table_name,
        reason,
        count(*) as amount,
    from {{ ref('rejected_rows') }}
    where run_id is null or run_id in (select chosen.run_id from chosen)
    group by table_name, reason
),

misfits as (
    select
        table_name || '.' || column_name as subject,
        sum(misfits) as amount,
    from {{ ref('misfit_values') }}
    where run_id in (select chosen.run_id from chosen)
    group by table_name, column_name
),

recorders as (
    select
        sum(events_dropped) as events_dropped,
        sum(values_damaged) as values_damaged,
    from {{ ref('recorder_health') }}
    where run_id in (select chosen.run_id from chosen)
),

final as (
    select
        'row rejected' as kind,
        table_name as subject,
        reason,
        amount,
    from rejected
    union all
    select
        'value unusable' as kind,
        subject,
        'it does not fit the column' as reason,
        amount::bigint as amount,
    from misfits
    union all
    select
        'event dropped' as kind,
        'recorder' as subject,
        'the recorder could not keep up, or not write' as reason,
        events_dropped::bigint as amount,
    from recorders
    where events_dropped > 0
    union all
    select
        'value damaged' as kind,
        'recorder' as subject,
        'the recorder could not store it as it was' as reason,
        values_damaged::bigint as amount,
    from recorders
    where values_damaged > 0
)

select * from final
