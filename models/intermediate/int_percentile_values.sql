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

of_artifacts as (

    select
        run_id,
        if(grouping(resolver) = 0, 'run_resolver', 'run') as scope,
        resolver as subject,
        count(*) as observations,
        list(ttfp_ms order by ttfp_ms) as ttfp_ms,
        list(ttfp_wall_ms order by ttfp_wall_ms) as ttfp_wall_ms,
    from artifacts
    where ttfp_ms is not null
    group by grouping sets ((run_id), (run_id, resolver))

),

of_requests as (

    select
        run_id,
        if(grouping(role) = 0, 'run_role', 'run_host') as scope,
        coalesce(role, host) as subject,
        count(*) as observations,
        list(rate_delay_ms order by rate_delay_ms) as amounts,
    from requests
    where rate_delay_ms is not null
    group by grouping sets ((run_id, role), (run_id, host))

),

ordered as (

    select
        run_id,
        scope,
        subject,
        'ttfp_ms' as measure,
        observations,
        ttfp_ms as amounts,
    from of_artifacts
    union all
    select
        run_id,
        scope,
        subject,
        'ttfp_wall_ms' as measure,
        observations,
        ttfp_wall_ms as amounts,
    from of_artifacts
    union all
    select
        run_id,
        scope,
        subject,
        'rate_delay_ms' as measure,
        observations,
        amounts,
    from of_requests

),

final as (

    select
        run_id,
        scope,
        subject,
        measure,
        observations,
        if(
            observations <= {{ kept }},
            amounts,
            [
                amounts[1 + round(place * (observations - 1) / ({{ kept }} - 1))::bigint]
                for place in range({{ kept }})
            ]
        ) as amounts,
    from ordered

)

select * from final
