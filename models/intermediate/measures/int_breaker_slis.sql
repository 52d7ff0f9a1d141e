{{ config(materialized='incremental') }}

-- counted apart from openings, as ids are no key: two workers of a run give out the same ones
with happened as (
    select
        run_id,
        host,
        date_trunc('hour', occurred_at) as hour_at,
        1 as transitions,
        0 as openings,
        0 as openings_in_window,
    from {{ ref('stg_breaker_transitions') }}
    {{ where_touched() }}
    union all
    select
        run_id,
        host,
        date_trunc('hour', occurred_at) as hour_at,
        0 as transitions,
        1 as openings,
        openings_in_window,
    from {{ ref('int_breaker_openings') }}
    {{ where_touched() }}
),

-- 0 openings: a host that was asked and whose breaker did not open, and a run that met no host
met as (
    select
        run_id,
        grain,
        starts_at,
        subject as host,
    from {{ ref('int_request_slis') }}
    {{ where_touched("scope = 'run_host'") }}
),

runs as (
    select run_id
    from {{ ref('int_runs') }}
    {{ where_touched('has_breaker_transitions') }}
),

counted as (
    select
        run_id,
        if(grouping(hour_at) = 0, 'hour', 'run') as grain,
        hour_at as starts_at,
        host,
        sum(transitions) as transitions,
        sum(openings) as openings,
        max(openings_in_window) as openings_in_window,
    from happened
    group by grouping sets ((run_id, host), (run_id, hour_at, host))
),

of_hosts as (
    select * from counted
    union all
    select
        run_id,
        grain,
        starts_at,
        host,
        0 as transitions,
        0 as openings,
        0 as openings_in_window,
    from met
    union all
    select
        run_id,
        'run' as grain,
        null as starts_at,
        null as host,
        0 as transitions,
        0 as openings,
        0 as openings_in_window,
    from runs
),

final as (
    select
        run_id,
        grain,
        starts_at,
        {{ sli_scope('breakers') }},
        sum(transitions)::bigint as breaker_transitions,
        sum(openings)::bigint as breaker_opens,
        max(openings_in_window)::bigint as breaker_opens_per_hour,
    from of_hosts
    -- without the table of transitions there is nothing to tell
    semi join runs on of_hosts.run_id = runs.run_id
    group by grouping sets ({{ sli_groups('breakers', [['run_id', 'grain', 'starts_at']]) }})
    having grouping(host) = 1 or host is not null
)

select * from final
