{{ config(materialized='incremental') }}

with yield_components as (

    select * from {{ ref('int_yield_components') }}
    {{ where_touched() }}

),

ttfp_components as (

    select * from {{ ref('int_ttfp_components') }}
    {{ where_touched() }}

),

request_components as (

    select * from {{ ref('int_request_components') }}
    {{ where_touched() }}

),

breaker_components as (

    select * from {{ ref('int_breaker_components') }}
    {{ where_touched() }}

),

final as (

    from yield_components
    union all
    from ttfp_components
    union all
    from request_components
    union all
    from breaker_components

)

select * from final
