with decisions as (
    select * from {{ ref('stg_rate_events') }}
),

final as (
    select
        run_id,
        host,
        role,
        count(*) as decisions,
        count(*) filter (action = 'block') as blocks,
        sum(delay_ms) as delay_ms,
        max(delay_ms) as longest_delay_ms,
    from decisions
    group by all
)

select * from final
