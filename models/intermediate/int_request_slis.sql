{{ config(materialized='incremental') }}

with requests as (

    select * from {{ ref('int_requests') }}
    {{ where_touched() }}

),

counted as (

    select
        run_id,
        host,
        day,
        case
            when grouping(host) = 0 then 'host'
            when grouping(day) = 0 then 'day'
            else 'run'
        end as grain,
        {{ request_sums() }},
    from requests
    group by grouping sets ((run_id), (run_id, host), (run_id, day))

),

final as (

    select
        run_id,
        grain,
        host,
        day,
        {{ request_slis() }},
    from counted

)

select * from final
