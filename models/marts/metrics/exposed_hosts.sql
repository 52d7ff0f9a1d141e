with hosts as (
    select * from {{ ref('host_slis') }}
),

-- a real host of the name of the sum cannot have a series of its own beside it
placed as (
    select
        run_id,
        host,
        row_number() over (
            partition by run_id
            order by host = 'other' asc, requests desc, breaker_transitions desc, host asc
        ) <= {{ var('exposed_hosts') }} and host <> 'other' as is_exposed,
    from hosts
),

final as (
    select
        run_id,
        host,
        is_exposed,
        case when is_exposed then host else 'other' end as exposed_as,
    from placed
)

select * from final
