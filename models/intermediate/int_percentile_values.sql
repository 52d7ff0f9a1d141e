{{ config(materialized='incremental') }}

{%- set kept = var('regression_kept_values') -%}

with artifacts as (

    select * from {{ ref('int_artifact_ttfp') }}
    {{ where_touched() }}

),

requests as (

    select * from {{ ref('int_requests') }}
    {{ where_touched() }}

),

times as (

    select
        run_id,
        resolver,
        measure,
        amount,
    from artifacts
    unpivot (amount for measure in (ttfp_ms, ttfp_wall_ms))

),

delays as (

    select
        run_id,
        role,
        host,
        rate_delay_ms as amount,
    from requests
    where rate_delay_ms is not null

),

counted as (

    select
        run_id,
        if(grouping(resolver) = 0, 'run_resolver', 'run') as scope,
        resolver as subject,
        measure,
        count(*) as observations,
    from times
    group by grouping sets ((run_id, measure), (run_id, measure, resolver))
    union all
    select
        run_id,
        if(grouping(role) = 0, 'run_role', 'run_host') as scope,
        coalesce(role, host) as subject,
        'rate_delay_ms' as measure,
        count(*) as observations,
    from delays
    group by grouping sets ((run_id, role), (run_id, host))

),

-- Millions of observations are put in order by a number, which takes a tenth of the memory that
-- names take; as lists of all of them they would have to fit into memory.
numbered as (

    select
        *,
        row_number() over (order by run_id, scope, subject, measure) as series,
    from counted

),

observed as (

    select
        numbered.series,
        numbered.observations,
        times.amount,
    from times
    inner join numbered
        on
            times.run_id = numbered.run_id
            and times.measure = numbered.measure
            and numbered.scope = 'run'
    union all
    select
        numbered.series,
        numbered.observations,
        times.amount,
    from times
    inner join numbered
        on
            times.run_id = numbered.run_id
            and times.measure = numbered.measure
            and times.resolver is not distinct from numbered.subject
            and numbered.scope = 'run_resolver'
    union all
    select
        numbered.series,
        numbered.observations,
        delays.amount,
    from delays
    inner join numbered
        on
            delays.run_id = numbered.run_id
            and delays.role is not distinct from numbered.subject
            and numbered.scope = 'run_role'
    union all
    select
        numbered.series,
        numbered.observations,
        delays.amount,
    from delays
    inner join numbered
        on
            delays.run_id = numbered.run_id
            and delays.host is not distinct from numbered.subject
            and numbered.scope = 'run_host'

),

ranked as (

    select
        *,
        row_number() over (partition by series order by amount asc) as place,
    from observed

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

listed as (

    select
        series,
        list(amount order by place) as amounts,
    from kept
    group by series

),

final as (

    select
        numbered.run_id,
        numbered.scope,
        numbered.subject,
        numbered.measure,
        numbered.observations,
        listed.amounts,
    from listed
    inner join numbered on listed.series = numbered.series

)

select * from final
