{{ config(materialized='incremental') }}

with requests as (

    select
        *,
        date_trunc('hour', occurred_at) as hour_at,
    from {{ ref('int_requests') }}
    {{ where_touched() }}

),

artifacts as (

    select
        *,
        date_trunc('hour', first_download_at) as hour_at,
    from {{ ref('int_artifacts') }}
    {{ where_touched() }}

),

ttfp as (

    select
        *,
        date_trunc('hour', first_attempt_at) as hour_at,
    from {{ ref('int_artifact_ttfp') }}
    {{ where_touched() }}

),

transitions as (

    select
        run_id,
        coalesce(host, 'unknown') as host,
        date_trunc('hour', occurred_at) as hour_at,
    from {{ ref('stg_breaker_transitions') }}
    {{ where_touched() }}

),

openings as (

    select
        run_id,
        host,
        date_trunc('hour', occurred_at) as hour_at,
        openings_in_window,
    from {{ ref('int_breaker_openings') }}
    {{ where_touched() }}

),

runs as (

    select
        run_id,
        has_breaker_transitions,
    from {{ ref('int_runs') }}
    {{ where_touched() }}

),

request_counts as (

    select
        run_id,
        hour_at,
        host,
        if(grouping(host) = 0, 'run_host', 'run') as scope,
        {{ request_sums() }},
    from requests
    group by grouping sets ((run_id, hour_at), (run_id, hour_at, host))

),

of_requests as (

    select
        run_id,
        hour_at,
        scope,
        host as subject,
        {{ request_slis() }},
    from request_counts

),

of_artifacts as (

    select
        run_id,
        hour_at,
        'run' as scope,
        null::varchar as subject,
        {{ artifact_slis() }},
    from artifacts
    where hour_at is not null
    group by run_id, hour_at

),

ttfp_measured as (

    select
        run_id,
        hour_at,
        {{ ttfp_quantiles() }},
    from ttfp
    where ttfp_ms is not null
    group by run_id, hour_at

),

of_ttfp as (

    select
        run_id,
        hour_at,
        'run' as scope,
        null::varchar as subject,
        {{ ttfp_slis() }},
    from ttfp_measured

),

of_delays as (

    select
        run_id,
        hour_at,
        if(grouping(role) = 0, 'run_role', 'run_host') as scope,
        coalesce(role, host) as subject,
        {{ delay_slis() }},
    from requests
    group by grouping sets ((run_id, hour_at, role), (run_id, hour_at, host))

),

transitioned as (

    select
        run_id,
        hour_at,
        host,
        count(*) as breaker_transitions,
    from transitions
    group by run_id, hour_at, host

),

opened as (

    select
        run_id,
        hour_at,
        host,
        max(openings_in_window) as breaker_opens_per_hour,
    from openings
    group by run_id, hour_at, host

),

-- an hour in which a host was asked and its breaker did not open has 0 openings
met as (

    select
        run_id,
        hour_at,
        subject,
    from of_requests
    where scope = 'run_host'
    union
    select
        run_id,
        hour_at,
        host as subject,
    from transitioned

),

of_breakers as (

    select
        met.run_id,
        met.hour_at,
        'run_host' as scope,
        met.subject,
        coalesce(opened.breaker_opens_per_hour, 0) as breaker_opens_per_hour,
        coalesce(transitioned.breaker_transitions, 0) as breaker_transitions,
    from met
    inner join runs on met.run_id = runs.run_id and runs.has_breaker_transitions
    left join opened
        on
            met.run_id = opened.run_id
            and met.hour_at = opened.hour_at
            and met.subject = opened.host
    left join transitioned
        on
            met.run_id = transitioned.run_id
            and met.hour_at = transitioned.hour_at
            and met.subject = transitioned.host

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
        run_id,
        hour_at,
        scope,
        subject,
        columns(* exclude (run_id, hour_at, scope, subject))::double,
    from together

),

final as (

    from numbers
    unpivot (amount for measure in (* exclude (run_id, hour_at, scope, subject)))

)

select * from final
