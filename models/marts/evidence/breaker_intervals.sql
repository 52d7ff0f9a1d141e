with intervals as (
    select * from {{ ref('int_breaker_open_intervals') }}
),

final as (
    select
        run_id,
        host,
        scope,
        opened_at,
        closed_at,
        seconds_open,
        state_before,
    from intervals
)

select * from final
