with transitions as (
    select
        *,
        cast(round(ts * 1e6) as bigint) as ts_us,
    from {{ ref('stg_breaker_transitions') }}
),

openings as (
    select * from transitions
    where
        new_state = 'open'
        and old_state <> 'open'
),

final as (
    select
        run_id,
        transition_id,
        host,
        scope,
        ts,
        occurred_at,
        old_state as state_before,
        -- of the window that begins with this opening and is open at its far end
        count(*) over (
            partition by run_id, host
            order by ts_us
            range between current row and ({{ var('breaker_window_us') }} - 1) following
        ) as openings_in_window,
    from openings
)

select * from final
