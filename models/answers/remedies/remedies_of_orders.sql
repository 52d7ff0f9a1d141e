-- The expected time to a success is least when resolvers are asked in the order of time per try
-- divided by chance of success (Simon and Kadane 1975, "Optimal problem-solving search", Artificial
-- Intelligence 6: 235). One that never succeeded goes last; those of equal cost stay as they are.

with causes as (
    select * from {{ ref('remedy_causes') }}
    where
        cause.topic in ('yield', 'ttfp')
        and cause.place = 1
        and forbidding_hosts is null
),

costs as (
    select
        resolver,
        successes,
        elapsed_mean_ms * (attempts - coalesce(skipped, 0)) / nullif(successes, 0) as cost_ms,
        row_number() over (order by mean_place asc, attempts desc, resolver asc) as place_now,
    from {{ ref('resolver_effort') }}
    where
        run_id = {{ diagnosed_run() }}
        and resolver <> 'unknown'
        and mean_place is not null
),

orders as (
    select
        string_agg(resolver, ', ' order by place_now) as order_now,
        string_agg(resolver, ', ' order by cost_ms asc nulls last, place_now asc) as order_proposed,
    from costs
    having sum(successes) > 0
),

final as (
    select
        causes.cause,
        4 as turn,
        'Reorder the resolvers, fast ones that often succeed first' as remedy,
        'resolver_order' as setting,
        'all resolvers' as applies_to,
        orders.order_proposed as proposed_text,
        format(
            'by time per attempt divided by chance of success; they are asked in the order {}',
            orders.order_now
        ) as reason,
    from causes
    cross join orders
    where orders.order_now <> orders.order_proposed
)

select * from final
