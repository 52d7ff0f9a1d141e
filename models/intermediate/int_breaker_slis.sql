{{ config(materialized='incremental') }}

-- counted apart, as ids are no key: two workers of a run give out the same ones
with transitions as (

    select
        run_id,
        coalesce(host, 'unknown') as host,
        count(*) as breaker_transitions,
    from {{ ref('stg_breaker_transitions') }}
    {{ where_touched() }}
    group by all

),

openings as (

    select
        run_id,
        host,
        count(*) as breaker_opens,
        max(openings_in_window) as breaker_opens_per_hour,
    from {{ ref('int_breaker_openings') }}
    {{ where_touched() }}
    group by all

),

final as (

    select
        transitions.run_id,
        case when grouping(transitions.host) = 0 then 'host' else 'run' end as grain,
        transitions.host,
        sum(transitions.breaker_transitions)::bigint as breaker_transitions,
        coalesce(sum(openings.breaker_opens), 0)::bigint as breaker_opens,
        coalesce(max(openings.breaker_opens_per_hour), 0) as breaker_opens_per_hour,
    from transitions
    left join openings
        on
            transitions.run_id = openings.run_id
            and transitions.host = openings.host
    group by grouping sets ((transitions.run_id), (transitions.run_id, transitions.host))

)

select * from final
