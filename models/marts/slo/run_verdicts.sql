with verdicts as (
    select * from {{ ref('slo_verdicts') }}
),

counted as (
    select
        run_id,
        count(*) filter (status = 'fail' and scope <> 'run_host') as slos_failed,
        count(*) filter (status = 'no_data' and scope <> 'run_host') as slos_without_data,
        count(*) filter (status = 'pass' and scope <> 'run_host') as slos_passed,
        count(*) filter (status = 'fail' and scope = 'run_host') as host_slos_failed,
        count(*) filter (status = 'no_data' and scope = 'run_host') as host_slos_without_data,
    from verdicts
    group by run_id
),

final as (
    select
        run_id,
        case
            when slos_failed > 0 then 'fail'
            when slos_passed > 0 then 'pass'
            else 'no_data'
        end as verdict,
        slos_failed = 0 as has_passed,
        slos_failed + slos_without_data + host_slos_failed + host_slos_without_data = 0
            as has_passed_strictly,
        * exclude (run_id),
    from counted
)

select * from final
