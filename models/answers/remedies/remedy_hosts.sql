-- What was asked of the hosts that a cause blames, and how they answered.

with causes as (
    select * from {{ ref('remedy_causes') }}
),

paces as (
    select * from {{ ref('host_pace') }}
    where run_id = {{ diagnosed_run() }}
),

blamed as (
    select
        cause,
        lost,
        forbidden,
        unnest(if(cause.host is null, forbidding_hosts, [cause.host])) as host,
    from causes
),

summed as (
    select
        blamed.cause,
        blamed.lost,
        blamed.forbidden,
        blamed.host,
        -- roles need not have been asked for at the same time
        max(if(blamed.cause.role is null, paces.host_requests_per_s, paces.requests_per_s))
            as requests_per_s,
        max(paces.retry_after_p50_s) as retry_after_p50_s,
        sum(paces.network_requests) as network_requests,
        sum(paces.http_429_requests) as http_429_requests,
        sum(paces.failed_requests) as failed_requests,
        sum(paces.urls) as urls,
        sum(paces.fetched_first)::bigint as fetched_first,
        sum(paces.fetched_after_failure)::bigint as fetched_after_failure,
        sum(paces.fetched_promptly)::bigint as fetched_promptly,
        sum(paces.fetched_late)::bigint as fetched_late,
        max(paces.prompt_age_p95_s) as prompt_age_p95_s,
        max(paces.late_age_p95_s) as late_age_p95_s,
        max(paces.cached_age_max_s) as cached_age_max_s,
    from blamed
    inner join paces
        on
            blamed.host = paces.host
            and (blamed.cause.role is null or blamed.cause.role = paces.role)
            and (blamed.cause.slo <> 'cache_hit_pct' or paces.role = 'metadata')
    group by all
),

final as (
    select
        *,
        http_429_requests / nullif(network_requests, 0) as part_429,
        (http_429_requests + failed_requests) / nullif(network_requests, 0) as part_failed,
    from summed
)

select * from final
