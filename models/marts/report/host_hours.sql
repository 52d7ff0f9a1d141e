with requests as (
    select * from {{ ref('int_requests') }}
),

final as (
    select
        run_id,
        host,
        date_trunc('hour', occurred_at) as hour_at,
        sum(sample_weight) as requests,
        sum(if(is_network, sample_weight, 0)) as network_requests,
        sum(if(is_429, sample_weight, 0)) as http_429_requests,
        sum(if(is_5xx, sample_weight, 0)) as http_5xx_requests,
        sum(if(is_exception, sample_weight, 0)) as exceptions,
    from requests
    group by run_id, host, date_trunc('hour', occurred_at)
)

select * from final
