{{ config(materialized='incremental') }}

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
        {{ ttfp_quantiles() }},
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
        {{ ttfp_slis() }},
    from measured

)

select * from final
