-- Every number of the SLI marts as a row of its own, so that a new SLI needs no line here.
with run_slis as (

    select * from {{ ref('run_slis') }}

),

role_slis as (

    select * from {{ ref('role_slis') }}

),

host_slis as (

    select * from {{ ref('host_slis') }}

),

numbers_of_runs as (

    select
        run_id,
        columns(* exclude (run_id))::double,
    from run_slis

),

numbers_of_roles as (

    select
        run_id,
        role,
        columns(* exclude (run_id, role))::double,
    from role_slis

),

numbers_of_hosts as (

    select
        run_id,
        host,
        columns(* exclude (run_id, host))::double,
    from host_slis

),

of_runs as (

    from numbers_of_runs
    unpivot include nulls (amount for measure in (* exclude (run_id)))

),

of_roles as (

    from numbers_of_roles
    unpivot include nulls (amount for measure in (* exclude (run_id, role)))

),

of_hosts as (

    from numbers_of_hosts
    unpivot include nulls (amount for measure in (* exclude (run_id, host)))

),

final as (

    select
        run_id,
        'run' as scope,
        null::varchar as subject,
        measure,
        amount,
    from of_runs
    union all
    select
        run_id,
        'run_role' as scope,
        role as subject,
        measure,
        amount,
    from of_roles
    union all
    select
        run_id,
        'run_host' as scope,
        host as subject,
        measure,
        amount,
    from of_hosts

)

select * from final
