with requests as (

    select * from {{ ref('int_requests') }}

),

events as (

    select * from {{ ref('stg_http_events') }}
    where
        role = 'metadata'
        and lacks_from_cache is not true

),

limits as (

    select
        run_id,
        subject as role,
        target,
    from {{ ref('slo_index') }}
    where
        slo = 'rate_delay_p95_ms'
        and scope = 'run_role'

),

asked as (

    select
        run_id,
        case grouping(host, role) when 0 then 'run_host' else 'run' end as scope,
        case grouping(host, role) when 0 then host end as subject,
        case grouping(host, role) when 1 then 'host' else 'role' end as dimension,
        if(grouping(host, role) = 1, host, role) as segment,
        sum(if(is_429, sample_weight, 0)) as numerator,
        sum(if(is_network, sample_weight, 0)) as denominator,
    from requests
    group by grouping sets ((run_id, host), (run_id, role), (run_id, host, role))

),

cached as (

    select
        run_id,
        host as segment,
        sum(if(is_cache_hit, sample_weight, 0)) as numerator,
        sum(sample_weight) as denominator,
    from requests
    where is_metadata
    group by run_id, host

),

-- what became of the requests that the cache did not answer
missed as (

    select
        run_id,
        case
            when coalesce(is_from_cache, false) then null
            when coalesce(is_revalidated, false) or status = 304 then 'revalidated'
            when coalesce(is_stale, false) then 'stale'
            when status is null then 'exception'
            else 'fetched ' || status
        end as segment,
        sum(if(coalesce(is_from_cache, false), 0, sample_weight)) as numerator,
        sum(sample_weight) as requests,
    from events
    group by all

),

delayed as (

    select
        requests.run_id,
        requests.role,
        requests.host,
        count(*) filter (requests.rate_delay_ms > limits.target) as numerator,
        count(*) as denominator,
        -- cut off at the target, as one delay of an hour would else make up most of the mean
        sum(greatest(0, least(requests.rate_delay_ms, limits.target))) as delayed_ms,
    from requests
    inner join limits
        on
            requests.run_id = limits.run_id
            and requests.role = limits.role
    where requests.rate_delay_ms is not null
    group by all

),

counted as (

    select
        run_id,
        'http_429_pct' as slo,
        scope,
        subject,
        dimension,
        'ratio' as kind,
        segment,
        numerator,
        denominator,
        denominator as weight,
    from asked
    where denominator > 0
    union all
    select
        run_id,
        'cache_hit_pct' as slo,
        'run' as scope,
        null as subject,
        'host' as dimension,
        'ratio' as kind,
        segment,
        numerator,
        denominator,
        denominator as weight,
    from cached
    union all
    select
        run_id,
        'cache_hit_pct' as slo,
        'run' as scope,
        null as subject,
        'answer' as dimension,
        'loss' as kind,
        segment,
        numerator,
        numerator as denominator,
        requests as weight,
    from missed
    union all
    select
        run_id,
        'rate_delay_p95_ms' as slo,
        'run_role' as scope,
        role as subject,
        'host' as dimension,
        'ratio' as kind,
        host as segment,
        numerator,
        denominator,
        denominator as weight,
    from delayed
    union all
    select
        run_id,
        'rate_delay_p95_ms_mean' as slo,
        'run_role' as scope,
        role as subject,
        'host' as dimension,
        'ratio' as kind,
        host as segment,
        delayed_ms as numerator,
        denominator,
        denominator as weight,
    from delayed

),

final as (

    select
        run_id,
        slo,
        scope,
        subject::varchar as subject,
        dimension,
        kind,
        'all' as route,
        segment,
        numerator::double as numerator,
        denominator::double as denominator,
        sum(weight::double) over (partition by run_id, slo, scope, subject, dimension) as base,
    from counted

)

select * from final
