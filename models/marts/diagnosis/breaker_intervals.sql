{{ config(materialized='incremental') }}

with intervals as (

    select * from {{ ref('int_breaker_open_intervals') }}
    {{ where_touched() }}

),

final as (

    select
        run_id,
        host,
        scope,
        opened_at,
        closed_at,
        seconds_open,
        state_before,
    from intervals

)

select * from final
