with run_numbers as (
    select * from {{ ref('slo_measurements') }}
),

period_numbers as (
    select * from {{ ref('int_period_slis') }}
),

final as (
    select
        'run' as grain,
        run_id as measured_as,
        * exclude (run_id),
    from run_numbers
    union all by name
    select
        starts_on::varchar as measured_as,
        * exclude (starts_on),
    from period_numbers
)

select * from final
