{{ config(materialized='incremental') }}

with artifacts as (
    select
        *,
        date_trunc('hour', first_attempt_at) as hour_at,
    from {{ ref('int_artifact_ttfp') }}
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
        {{ sli_scope('first_pdfs') }},
        {{ sli_measures('first_pdfs') }}
    from artifacts
    where ttfp_ms is not null
    group by grouping sets ({{ sli_groups('first_pdfs', [['run_id'], ['run_id', 'hour_at']]) }}, (run_id, day))
),

final as (
    select {{ sli_headlines('first_pdfs', ['run_id', 'grain', 'starts_at']) }}
    from measured
)

select * from final
