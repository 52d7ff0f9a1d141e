{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

{%- set kept = var('regression_kept_values') -%}

with artifacts as (

    select * from {{ ref('int_artifact_ttfp') }}
    {{ where_touched() }}

),

requests as (

    select * from {{ ref('int_requests') }}
    {{ where_touched() }}

),

observed as (

    select
        run_id,
        'run' as scope,
        null as subject,
        measure,
        amount,
    from artifacts
    unpivot (amount for measure in (ttfp_ms, ttfp_wall_ms))
    union all
    select
        run_id,
        'run_resolver' as scope,
        resolver as subject,
        measure,
        amount,
    from artifacts
    unpivot (amount for measure in (ttfp_ms, ttfp_wall_ms))
    union all
    select
        run_id,
        'run_role' as scope,
        role as subject,
        'rate_delay_ms' as measure,
        rate_delay_ms as amount,
    from requests
    where rate_delay_ms is not null
    union all
    select
        run_id,
        'run_host' as scope,
        host as subject,
        'rate_delay_ms' as measure,
        rate_delay_ms as amount,
    from requests
    where rate_delay_ms is not null

),

-- not lists of all observations, which would have to fit into memory
ranked as (

    select
        *,
        row_number() over subjects as place,
        count(*) over (
            subjects rows between unbounded preceding and unbounded following
        ) as observations,
    from observed
    window subjects as (partition by run_id, scope, subject, measure order by amount asc)

),

-- of many, the places nearest to as many at even distances
kept as (

    select
        *,
        round((place - 1) * ({{ kept }} - 1) / (observations - 1)) as turn,
    from ranked
    where
        observations <= {{ kept }}
        or 1 + round(turn * (observations - 1) / ({{ kept }} - 1)) = place

),

final as (

    select
        run_id,
        scope,
        subject,
        measure,
        any_value(observations) as observations,
        list(amount order by place) as amounts,
    from kept
    group by run_id, scope, subject, measure

)

select * from final
