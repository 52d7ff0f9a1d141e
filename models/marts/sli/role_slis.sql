with delays as (

    select * from {{ ref('int_delay_slis') }}
    where grain = 'role'

),

final as (

    select
        run_id,
        role,
        rate_delay_p95_ms,
        delayed_requests,
    from delays

)

select * from final
