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
    {%- for kind, reason, amount in [
        ('event dropped', 'the recorder could not keep up, or not write', 'events_dropped'),
        ('value damaged', 'the recorder could not store it as it was', 'values_damaged'),
    ] %}
    union all
    select
        '{{ kind }}' as kind,
        'recorder' as subject,
        '{{ reason }}' as reason,
        {{ amount }}::bigint as amount,
    from recorders
    where {{ amount }} > 0
    {%- endfor %}
)

select * from final
