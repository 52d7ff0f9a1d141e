{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

with events as (

    select * from {{ ref('stg_http_events') }}
    {{ where_touched() }}

),

spaced as (

    select
        run_id,
        coalesce(host, 'unknown') as host,
        coalesce(role, 'unknown') as role,
        ts,
        date_trunc('minute', occurred_at) as minute_at,
        sample_weight,
        is_network,
        status,
        retry_after_s,
        retry_count,
        url_hash,
        if(
            url_hash is null or role is distinct from 'metadata',
            null,
            ts - lag(ts) over (partition by run_id, host, role, url_hash order by ts, event_id)
        ) as since_same_url_s,
    from events

),

measured as (

    select
        run_id,
        host,
        role,
        sum(if(is_network, sample_weight, 0)) as network_requests,
        sum(if(is_network and status = 429, sample_weight, 0)) as http_429_requests,
        sum(
            if(
                is_network and (status is null or status between 500 and 599),
                sample_weight,
                0
            )
        ) as failed_requests,
        count(distinct minute_at) filter (is_network) as busy_minutes,
        max(ts) filter (is_network) - min(ts) filter (is_network) as span_s,
        median(retry_after_s) as retry_after_p50_s,
        max(retry_count) as most_retries,
        count(distinct url_hash) as urls,
        count(since_same_url_s) as repeats,
        count(since_same_url_s) filter (is_network) as repeats_fetched,
        quantile_cont(since_same_url_s, 0.95) as repeat_p95_s,
    from spaced
    group by run_id, host, role

),

final as (

    select
        run_id,
        host,
        role,
        network_requests,
        http_429_requests,
        failed_requests,
        -- over the time in which it was asked at all: a run may turn to a host now and then
        network_requests / nullif(least(span_s, busy_minutes * 60), 0) as requests_per_s,
        retry_after_p50_s,
        most_retries,
        urls,
        repeats,
        repeats_fetched,
        repeat_p95_s,
    from measured

)

select * from final
