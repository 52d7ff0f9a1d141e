with measurements as (
    select * from {{ ref('slo_measurements') }}
    where scope = 'run'
),

tolerances as (
    select * from {{ ref('sli_tolerances') }}
),

summaries as (
    select * from {{ ref('stg_run_summary') }}
),

numbers_recorded as (
    select
        run_id,
        max(columns(* exclude (run_id, started_at, finished_at, file_id, load_id)))::double,
    from summaries
    group by run_id
),

recorded as (
    from numbers_recorded
    unpivot include nulls (amount for measure in (* exclude (run_id)))
),

runs as (
    select run_id from {{ ref('int_runs') }}
),

compared as (
    select
        runs.run_id,
        tolerances.sli,
        recorded.amount as recorded_value,
        measurements.amount as measured_value,
        recorded.amount - measurements.amount as difference,
        greatest(
            tolerances.absolute, tolerances.relative_pct / 100 * abs(measurements.amount)
        ) as tolerance,
    from runs
    cross join tolerances
    left join measurements
        on
            runs.run_id = measurements.run_id
            and tolerances.sli = measurements.measure
    left join recorded
        on
            runs.run_id = recorded.run_id
            and tolerances.recorded_as = recorded.measure
),

final as (
    select
        run_id,
        sli,
        recorded_value,
        measured_value,
        difference,
        if(measured_value is not null, tolerance, null) as tolerance,
        case
            when recorded_value is null then 'not_recorded'
            when measured_value is null then 'no_data'
            when abs(difference) <= tolerance then 'within'
            else 'beyond'
        end as status,
    from compared
)

select * from final
