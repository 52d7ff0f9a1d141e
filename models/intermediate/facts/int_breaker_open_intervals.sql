with transitions as (
    select * from {{ ref('stg_breaker_transitions') }}
),

-- an interval ends with the next transition of the same breaker to anything but open
followed as (
    select
        *,
        min(case when new_state <> 'open' then occurred_at end) over (
            partition by run_id, host, scope
            order by ts, transition_id, file_id
            rows between 1 following and unbounded following
        ) as left_open_at,
    from transitions
),

final as (
    select
        run_id,
        transition_id,
        host,
        scope,
        occurred_at as opened_at,
        left_open_at as closed_at,
        epoch(left_open_at - occurred_at) as seconds_open,
        old_state as state_before,
    from followed
    where
        new_state = 'open'
        and old_state <> 'open'
)

select * from final
