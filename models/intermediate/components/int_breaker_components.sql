-- The openings of a host's worst hour, each divided among the failures that the host answered with
-- since the opening before.
with hosts as (
    select
        run_id,
        subject as host,
    from {{ ref('int_breaker_slis') }}
    where grain = 'run' and scope = 'run_host' and breaker_opens_per_hour is not null
),

failures as (
    select
        run_id,
        host,
        -- the change may be recorded a moment before the request that caused it
        epoch(occurred_at) - {{ var('breaker_record_lag_s') }} as ts,
        case when is_429 then '429' when is_5xx then '5xx' else 'exception' end as failure,
        sample_weight,
    from {{ ref('int_requests') }}
    where is_429 or is_5xx or is_exception
),

-- numbered, as ids are no key: two workers of a run give out the same ones
openings as (
    select
        *,
        row_number() over (order by run_id, host, ts, state_before, transition_id) as opening,
        first_value(ts) over (
            partition by run_id, host
            order by openings_in_window desc, ts asc
        ) as worst_hour_began_ts,
    from {{ ref('int_breaker_openings') }}
),

placed as (
    select
        failures.failure,
        failures.sample_weight,
        openings.opening,
    from failures
    asof inner join openings
        on
            failures.run_id = openings.run_id
            and failures.host = openings.host
            and failures.ts <= openings.ts
),

weighted as (
    select
        openings.run_id,
        openings.host,
        openings.opening,
        openings.state_before,
        coalesce(placed.failure, 'no failure recorded') as failure,
        coalesce(sum(placed.sample_weight), 1) as weight,
    from openings
    left join placed on openings.opening = placed.opening
    where
        round((openings.ts - openings.worst_hour_began_ts) * 1e6)
        between 0 and {{ var('breaker_window_us') }} - 1
    group by all
),

divided as (
    select
        *,
        weight / sum(weight) over (partition by opening) as part_of_opening,
    from weighted
),

counted as (
    select
        run_id,
        host,
        dimension,
        segment,
        sum(part_of_opening) as openings,
    from divided
    unpivot include nulls (segment for dimension in (failure, state_before))
    group by all
    union all
    -- so that a host whose breaker never opened has a zero to compare with
    select
        run_id,
        host,
        unnest(['failure', 'state_before']) as dimension,
        null as segment,
        0 as openings,
    from hosts
),

final as (
    select
        run_id,
        'breaker_opens_per_hour' as slo,
        'run_host' as scope,
        host as subject,
        dimension,
        'share' as kind,
        'all' as route,
        segment,
        openings::double as numerator,
        openings::double as denominator,
        1.0::double as base,
    from counted
)

select * from final
