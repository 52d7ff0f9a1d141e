{{ config(materialized='incremental') }}

with requests as (
    select
        *,
        date_trunc('hour', occurred_at) as hour_at,
    from {{ ref('int_requests') }}
    {{ where_touched() }}
),

measured as (
    select
        run_id,
        case
            when grouping(hour_at) = 0 then 'hour'
            when grouping(day) = 0 then 'day'
            else 'run'
        end as grain,
        coalesce(hour_at, day::timestamp) as starts_at,
        {{ sli_scope('requests') }},
        {{ sli_measures('requests') }}
    from requests
    group by grouping sets ({{ sli_groups('requests', [['run_id'], ['run_id', 'hour_at']]) }}, (run_id, day))
),

final as (
    select {{ sli_headlines('requests', ['run_id', 'grain', 'starts_at']) }}
    from measured
)

select * from final
