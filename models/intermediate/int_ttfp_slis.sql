{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

with artifacts as (

    select * from {{ ref('int_artifact_ttfp') }}
    {{ where_touched() }}

),

measured as (

    select
        run_id,
        resolver,
        day,
        case
            when grouping(resolver) = 0 then 'resolver'
            when grouping(day) = 0 then 'day'
            else 'run'
        end as grain,
        count(ttfp_ms) as ttfp_artifacts,
        quantile_cont(ttfp_ms, [0.5, 0.95, 0.99]) as ttfp_ms,
        quantile_cont(ttfp_wall_ms, [0.5, 0.95]) as ttfp_wall_ms,
    from artifacts
    where ttfp_ms is not null
    group by grouping sets ((run_id), (run_id, resolver), (run_id, day))

),

final as (

    select
        run_id,
        grain,
        resolver,
        day,
        ttfp_artifacts,
        ttfp_ms[1] as ttfp_p50_ms,
        ttfp_ms[2] as ttfp_p95_ms,
        ttfp_ms[3] as ttfp_p99_ms,
        ttfp_wall_ms[1] as ttfp_wall_p50_ms,
        ttfp_wall_ms[2] as ttfp_wall_p95_ms,
    from measured

)

select * from final
