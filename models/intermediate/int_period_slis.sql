-- Of all runs together: ratios of the sums over a period, percentiles of all its observations. No
-- value of a shorter period or of a run is averaged.
with grains as (

    select grain
    from unnest(['day', 'week']) as known (grain)
    where grain = {{ asked('trend_by', 'varchar', 'grain') }}

),

moment as (

    select as_of from {{ ref('int_moment') }}

),

hours as (

    select
        grains.grain,
        {{ period_start('grains.grain', 'hours.hour_at::date') }} as starts_on,
        hours.scope,
        hours.subject,
        hours.measure,
        hours.amount,
    from {{ ref('int_hour_slis') }} as hours
    cross join grains
    cross join moment
    where
        {{ periods_asked() }}
        and hours.hour_at <= moment.as_of

),

artifacts as (

    select
        grains.grain,
        {{ period_start('grains.grain', 'artifacts.day') }} as starts_on,
        artifacts.* exclude (day),
    from {{ ref('int_artifacts') }} as artifacts
    cross join grains
    cross join moment
    where
        {{ periods_asked() }}
        and artifacts.first_download_at <= moment.as_of

),

ttfp as (

    select
        grains.grain,
        {{ period_start('grains.grain', 'ttfp.day') }} as starts_on,
        ttfp.* exclude (day),
    from {{ ref('int_artifact_ttfp') }} as ttfp
    cross join grains
    cross join moment
    where
        {{ periods_asked() }}
        and ttfp.first_attempt_at <= moment.as_of
        and ttfp.ttfp_ms is not null

),

requests as (

    select
        grains.grain,
        {{ period_start('grains.grain', 'requests.day') }} as starts_on,
        requests.role,
        requests.host,
        requests.rate_delay_ms,
    from {{ ref('int_requests') }} as requests
    cross join grains
    cross join moment
    where
        {{ periods_asked() }}
        and requests.occurred_at <= moment.as_of
        and requests.rate_delay_ms is not null

),

openings as (

    select
        grains.grain,
        {{ period_start('grains.grain', 'openings.occurred_at::date') }} as starts_on,
        openings.host,
        openings.openings_in_window,
    from {{ ref('int_breaker_openings') }} as openings
    cross join grains
    cross join moment
    where
        {{ periods_asked() }}
        and openings.occurred_at <= moment.as_of

),

request_counts as (

    select
        grain,
        starts_on,
        scope,
        subject,
        sum(amount) filter (measure = 'requests') as requests,
        sum(amount) filter (measure = 'network_requests') as network_requests,
        sum(amount) filter (measure = 'network_requests')
        - sum(amount) filter (measure = 'network_requests_not_429') as http_429_requests,
        sum(amount) filter (measure = 'metadata_requests') as metadata_requests,
        sum(amount) filter (measure = 'metadata_cache_hits') as metadata_cache_hits,
    from hours
    where scope in ('run', 'run_host')
    group by grain, starts_on, scope, subject
    having sum(amount) filter (measure = 'requests') is not null

),

of_requests as (

    select
        grain,
        starts_on,
        scope,
        subject,
        {{ request_slis() }},
    from request_counts

),

of_artifacts as (

    select
        grain,
        starts_on,
        'run' as scope,
        null::varchar as subject,
        {{ artifact_slis() }},
    from artifacts
    group by grain, starts_on
    union all
    select
        grain,
        starts_on,
        'run_resolver' as scope,
        resolver as subject,
        {{ artifact_slis() }},
    from artifacts
    group by grain, starts_on, resolver

),

ttfp_measured as (

    select
        grain,
        starts_on,
        'run' as scope,
        null::varchar as subject,
        {{ ttfp_quantiles() }},
    from ttfp
    group by grain, starts_on
    union all
    select
        grain,
        starts_on,
        'run_resolver' as scope,
        resolver as subject,
        {{ ttfp_quantiles() }},
    from ttfp
    group by grain, starts_on, resolver

),

of_ttfp as (

    select
        grain,
        starts_on,
        scope,
        subject,
        {{ ttfp_slis() }},
    from ttfp_measured

),

of_roles_and_hosts as (

    select
        grain,
        starts_on,
        if(grouping(role) = 0, 'run_role', 'run_host') as scope,
        coalesce(role, host) as subject,
        {{ delay_slis() }},
    from requests
    group by grouping sets ((grain, starts_on, role), (grain, starts_on, host))

),

-- as of a run, the headline figure is that of the role metadata
of_delays as (

    select * from of_roles_and_hosts
    union all
    select * replace ('run' as scope, null as subject) from of_roles_and_hosts
    where
        scope = 'run_role'
        and subject = 'metadata'

),

-- hosts whose breakers were watched, whether they opened or not
watched as (

    select
        grain,
        starts_on,
        subject as host,
        sum(amount) filter (measure = 'breaker_transitions') as breaker_transitions,
    from hours
    where
        scope = 'run_host'
        and measure in ('breaker_opens_per_hour', 'breaker_transitions')
    group by grain, starts_on, subject

),

opened as (

    select
        grain,
        starts_on,
        host,
        max(openings_in_window) as breaker_opens_per_hour,
    from openings
    group by grain, starts_on, host

),

breaker_hosts as (

    select
        watched.grain,
        watched.starts_on,
        watched.host,
        watched.breaker_transitions,
        coalesce(opened.breaker_opens_per_hour, 0) as breaker_opens_per_hour,
    from watched
    left join opened
        on
            watched.grain = opened.grain
            and watched.starts_on = opened.starts_on
            and watched.host = opened.host

),

of_breakers as (

    select
        grain,
        starts_on,
        if(grouping(host) = 0, 'run_host', 'run') as scope,
        host as subject,
        sum(breaker_transitions) as breaker_transitions,
        max(breaker_opens_per_hour) as breaker_opens_per_hour,
    from breaker_hosts
    group by grouping sets ((grain, starts_on), (grain, starts_on, host))

),

together as (

    select * from of_requests
    union all by name
    select * from of_artifacts
    union all by name
    select * from of_ttfp
    union all by name
    select * from of_delays
    union all by name
    select * from of_breakers

),

numbers as (

    select
        grain,
        starts_on,
        scope,
        subject,
        columns(* exclude (grain, starts_on, scope, subject))::double,
    from together

),

final as (

    from numbers
    unpivot (amount for measure in (* exclude (grain, starts_on, scope, subject)))

)

select * from final
