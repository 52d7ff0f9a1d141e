with run_numbers as (
    select * from {{ ref('slo_measurements') }}
),

resolver_slis as (
    select
        run_id,
        resolver as subject,
        columns(* exclude (run_id, resolver))::double,
    from {{ ref('resolver_slis') }}
),

period_numbers as (
    select * from {{ ref('int_period_slis') }}
),

of_resolvers as (
    from resolver_slis
    unpivot (amount for measure in (* exclude (run_id, subject)))
),

final as (
    select
        'run' as grain,
        run_id as measured_as,
        * exclude (run_id),
    from run_numbers
    union all by name
    select
        'run' as grain,
        run_id as measured_as,
        'run_resolver' as scope,
        * exclude (run_id),
    from of_resolvers
    union all by name
    select
        starts_on::varchar as measured_as,
        * exclude (starts_on),
    from period_numbers
)

select * from final
