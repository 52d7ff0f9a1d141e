{{ config(materialized='incremental') }}

with transitions as (

    select
        run_id,
        transition_id,
        coalesce(host, 'unknown') as host,
    from {{ ref('stg_breaker_transitions') }}
    {{ where_touched() }}

),

openings as (

    select
        run_id,
        transition_id,
        openings_in_window,
    from {{ ref('int_breaker_openings') }}
    {{ where_touched() }}

),

final as (

    select
        transitions.run_id,
        case when grouping(transitions.host) = 0 then 'host' else 'run' end as grain,
        transitions.host,
        count(*) as breaker_transitions,
        count(openings.transition_id) as breaker_opens,
        coalesce(max(openings.openings_in_window), 0) as breaker_opens_per_hour,
    from transitions
    left join openings
        on
            transitions.run_id = openings.run_id
            and transitions.transition_id = openings.transition_id
    group by grouping sets ((transitions.run_id), (transitions.run_id, transitions.host))

)

select * from final
