-- How fast the limiter lets requests go to a host that answers 429, or that is waited for.

with hosts as (
    select
        *,
        cause.slo = 'http_429_pct'
        or (cause.slo = 'breaker_opens_per_hour' and cause.segment = '429')
        or cause.topic = 'yield' as is_of_429,
    from {{ ref('remedy_hosts') }}
),

final as (
    select
        cause,
        1 as turn,
        'Lower the requests per second' as remedy,
        'rps_lower' as setting,
        concat_ws(', role ', host, cause.role) as applies_to,
        requests_per_s as observed,
        requests_per_s * (1 - part_429) as base,
        format(
            '{:,.0f} of {:,.0f} network requests at {:.2f} a second were answered 429, so the host '
            || 'grants about {:.2f} a second; a tenth less leaves room',
            http_429_requests,
            network_requests,
            requests_per_s,
            base
        ) as reason,
    from hosts
    where
        is_of_429
        and http_429_requests > 0
        and requests_per_s > 0
    union all by name
    select
        cause,
        2 as turn,
        'Wait after a 429 as long as the host asks' as remedy,
        'retry_after_s' as setting,
        host as applies_to,
        retry_after_p50_s as observed,
        retry_after_p50_s as base,
        format('the median Retry-After that it sent was {:.1f} s', retry_after_p50_s) as reason,
    from hosts
    where
        is_of_429
        and retry_after_p50_s > 0
    union all by name
    select
        cause,
        1 as turn,
        if(http_429_requests > 0, 'Ask less of the host', 'Raise the limiter''s rate') as remedy,
        if(http_429_requests > 0, null, 'rps_raise') as setting,
        concat_ws(', role ', host, cause.role) as applies_to,
        requests_per_s as observed,
        requests_per_s * (1 + cause.rate_now_pct / 100) / 2 as base,
        format(
            '{:.1f} % of its requests waited longer than the target at {:.2f} requests a second, '
            || 'and it answered {:,.0f} with 429',
            cause.rate_now_pct,
            requests_per_s,
            http_429_requests
        ) as reason,
    from hosts
    where
        cause.slo = 'rate_delay_p95_ms'
        and requests_per_s > 0
)

select * from final
