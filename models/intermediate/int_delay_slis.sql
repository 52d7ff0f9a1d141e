{{ config(materialized='incremental') }}

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
        {{ delay_slis() }},
    from requests
    group by grouping sets ((run_id, role), (run_id, host))

)

select * from final
