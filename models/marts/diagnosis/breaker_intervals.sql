{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

with

{% if is_incremental() %}
touched_runs as (

    select run_id from {{ source('session', 'touched_runs') }}

),
{% endif %}

intervals as (

    select * from {{ ref('int_breaker_open_intervals') }} as all_intervals
    {% if is_incremental() %}
    where all_intervals.run_id in (select run_id from touched_runs)
    {% endif %}

),

final as (

    select
        run_id,
        host,
        scope,
        opened_at,
        closed_at,
        seconds_open,
    from intervals

)

select * from final
