with transitions as (
    select
        *,
        coalesce(host, 'unknown') as host_or_unknown,
        cast(round(ts * 1e6) as bigint) as ts_us,
    from {{ ref('stg_breaker_transitions') }}
),

openings as (
    select * from transitions
    where
        new_state = 'open'
        and old_state is distinct from 'open'
),

final as (
    select
        run_id,
        transition_id,
        host_or_unknown as host,
        scope,
        ts,
        occurred_at,
        coalesce(old_state, 'unknown') as state_before,
        -- of the window that begins with this opening and is open at its far end
        count(*) over (
            partition by run_id, host_or_unknown
            order by ts_us
            range between current row and ({{ var('breaker_window_us') }} - 1) following
        ) as openings_in_window,
    from openings
)

select * from final
