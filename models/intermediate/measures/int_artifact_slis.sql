{{ config(materialized='incremental') }}

with artifacts as (
    select
        *,
        date_trunc('hour', first_download_at) as hour_at,
    from {{ ref('int_artifacts') }}
    {{ where_touched() }}
),

measured as (
    select
        run_id,
        case
            when grouping(hour_at) = 0 then 'hour'
            when grouping(day) = 0 then 'day'
            else 'run'
        end as grain,
        coalesce(hour_at, day::timestamp) as starts_at,
        {{ sli_scope('artifacts') }},
        {{ sli_measures('artifacts') }}
    from artifacts
    group by grouping sets ({{ sli_groups('artifacts', [['run_id'], ['run_id', 'hour_at']]) }}, (run_id, day))
),

final as (
    select {{ sli_headlines('artifacts', ['run_id', 'grain', 'starts_at']) }}
    from measured
)

select * from final
