with yield_components as (
    select * from {{ ref('int_yield_components') }}
),

ttfp_components as (
    select * from {{ ref('int_ttfp_components') }}
),

sli_components as (
    select * from {{ ref('int_sli_components') }}
),

cache_components as (
    select * from {{ ref('int_cache_components') }}
),

breaker_components as (
    select * from {{ ref('int_breaker_components') }}
),

final as (
    from yield_components
    union all
    from ttfp_components
    union all
    from sli_components
    union all
    from cache_components
    union all
    from breaker_components
)

select * from final
