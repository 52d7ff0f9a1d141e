{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

with artifacts as (

    select * from {{ ref('int_artifacts') }}
    {{ where_touched() }}

),

final as (

    select
        run_id,
        case
            when grouping(resolver) = 0 then 'resolver'
            when grouping(day) = 0 then 'day'
            else 'run'
        end as grain,
        resolver,
        day,
        count(*) as artifacts,
        count(*) filter (is_success) as artifacts_success,
        100.0 * count(*) filter (is_success) / count(*) as yield_pct,
        -- count() of a NULL flag is unknown, not zero: the file has no final_path to judge by
        case when count(is_corrupt) > 0 then count(*) filter (is_corrupt) end as corruption_count,
        sum(saved_bytes) / 1048576.0 as dedupe_saved_mb,
    from artifacts
    group by grouping sets ((run_id), (run_id, resolver), (run_id, day))

)

select * from final
