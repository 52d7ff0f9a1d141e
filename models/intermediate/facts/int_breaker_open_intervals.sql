with transitions as (
    select
        *,
        coalesce(host, 'unknown') as host_or_unknown,
        coalesce(scope, 'unknown') as scope_or_unknown,
    from {{ ref('stg_breaker_transitions') }}
),

-- an interval ends with the next transition of the same breaker to anything but open
followed as (
    select
        *,
        min(case when new_state <> 'open' then occurred_at end) over (
            partition by run_id, host_or_unknown, scope_or_unknown
            order by ts, transition_id, file_id
            rows between 1 following and unbounded following
        ) as left_open_at,
    from transitions
),

final as (
    select
        run_id,
        transition_id,
        host_or_unknown as host,
        scope_or_unknown as scope,
        occurred_at as opened_at,
        left_open_at as closed_at,
        epoch(left_open_at - occurred_at) as seconds_open,
        coalesce(old_state, 'unknown') as state_before,
    from followed
    where
        new_state = 'open'
        and old_state is distinct from 'open'
)

select * from final
