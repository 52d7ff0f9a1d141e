{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

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
        sum(sample_weight) as requests,
        sum(sample_weight) filter (is_network) as network_requests,
        sum(sample_weight) filter (is_429) as http_429_requests,
        sum(sample_weight) filter (is_metadata) as metadata_requests,
        sum(sample_weight) filter (is_metadata and is_cache_hit) as metadata_cache_hits,
    from requests
    group by grouping sets ((run_id), (run_id, host), (run_id, day))

),

final as (

    select
        run_id,
        grain,
        host,
        day,
        requests,
        coalesce(network_requests, 0) as network_requests,
        coalesce(metadata_requests, 0) as metadata_requests,
        100.0 * coalesce(http_429_requests, 0) / nullif(network_requests, 0) as http_429_pct,
        100.0 * coalesce(metadata_cache_hits, 0) / nullif(metadata_requests, 0) as cache_hit_pct,
    from counted

)

select * from final
