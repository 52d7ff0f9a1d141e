{{ config(materialized='incremental') }}

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
        {{ artifact_slis() }},
    from artifacts
    group by grouping sets ((run_id), (run_id, resolver), (run_id, day))

)

select * from final
