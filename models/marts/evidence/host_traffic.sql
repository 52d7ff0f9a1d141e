{{ config(materialized='incremental') }}

with requests as (
    select * from {{ ref('int_requests') }}
    {{ where_touched() }}
),

measured as (
    select
        run_id,
        host,
        sum(sample_weight) as requests,
        sum(if(is_network, sample_weight, 0)) as network_requests,
        sum(if(is_429, sample_weight, 0)) as http_429_requests,
        sum(if(is_5xx, sample_weight, 0)) as http_5xx_requests,
        sum(if(is_exception, sample_weight, 0)) as exceptions,
        sum(retries * sample_weight) as retries,
        quantile_cont(network_elapsed_ms, [0.5, 0.95]) as latency_ms,
    from requests
    group by run_id, host
),

final as (
    select
        run_id,
        host,
        requests,
        network_requests,
        http_429_requests,
        http_5xx_requests,
        exceptions,
        retries,
        latency_ms[1] as latency_p50_ms,
        latency_ms[2] as latency_p95_ms,
        http_429_requests + http_5xx_requests + exceptions as errors,
        if(
            errors > 0,
            row_number() over (
                partition by run_id
                order by round(errors, 9) desc, round(requests, 9) desc, host asc
            ),
            null
        ) as errors_place,
    from measured
)

select * from final
