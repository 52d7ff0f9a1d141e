{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

with requests as (

    select * from {{ ref('int_requests') }}
    {{ where_touched() }}

),

final as (

    select
        run_id,
        case when grouping(role) = 0 then 'role' else 'host' end as grain,
        role,
        host,
        count(rate_delay_ms) as delayed_requests,
        quantile_cont(rate_delay_ms, 0.95) as rate_delay_p95_ms,
    from requests
    group by grouping sets ((run_id, role), (run_id, host))

)

select * from final
