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

-- a rate of all roles together is not the sum of theirs, which need not be of the same minutes
hosts as (

    select
        run_id,
        host,
        sum(sample_weight) as network_requests,
        least(max(ts) - min(ts), 60 * count(distinct minute_at)) as asked_s,
    from spaced
    where is_network
    group by run_id, host

),

final as (

    select
        measured.run_id,
        measured.host,
        measured.role,
        measured.network_requests,
        measured.http_429_requests,
        measured.failed_requests,
        -- over the time in which it was asked at all: a run may turn to a host now and then
        measured.network_requests
        / nullif(least(measured.span_s, measured.busy_minutes * 60), 0) as requests_per_s,
        measured.retry_after_p50_s,
        measured.most_retries,
        measured.urls,
        measured.repeats,
        measured.repeats_fetched,
        measured.repeat_p95_s,
        hosts.network_requests / nullif(hosts.asked_s, 0) as host_requests_per_s,
    from measured
    left join hosts
        on
            measured.run_id = hosts.run_id
            and measured.host = hosts.host

)

select * from final
