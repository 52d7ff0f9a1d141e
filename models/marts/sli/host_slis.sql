with requests as (

    select * from {{ ref('int_request_slis') }}
    where grain = 'host'

),

delays as (

    select * from {{ ref('int_delay_slis') }}
    where grain = 'host'

),

breakers as (

    select * from {{ ref('int_breaker_slis') }}
    where grain = 'host'

),

runs as (

    select
        run_id,
        has_breaker_transitions,
    from {{ ref('int_runs') }}

),

hosts as (

    select
        run_id,
        host
    from requests
    union
    select
        run_id,
        host
    from breakers

),

final as (

    select
        hosts.run_id,
        hosts.host,
        requests.cache_hit_pct,
        requests.http_429_pct,
        delays.rate_delay_p95_ms,
        case when runs.has_breaker_transitions then coalesce(breakers.breaker_opens, 0) end
            as breaker_opens,
        case when runs.has_breaker_transitions then coalesce(breakers.breaker_opens_per_hour, 0) end
            as breaker_opens_per_hour,
        coalesce(requests.requests, 0) as requests,
        coalesce(requests.network_requests, 0) as network_requests,
        coalesce(requests.metadata_requests, 0) as metadata_requests,
        coalesce(delays.delayed_requests, 0) as delayed_requests,
        coalesce(breakers.breaker_transitions, 0) as breaker_transitions,
    from hosts
    left join requests on hosts.run_id = requests.run_id and hosts.host = requests.host
    left join delays on hosts.run_id = delays.run_id and hosts.host = delays.host
    left join breakers on hosts.run_id = breakers.run_id and hosts.host = breakers.host
    left join runs on hosts.run_id = runs.run_id

)

select * from final
