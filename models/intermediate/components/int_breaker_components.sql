-- The openings of a host's worst hour, each divided among the failures that the host answered with
-- since the opening before.
with hosts as (
    select
        run_id,
        host,
    from {{ ref('host_slis') }}
    where breaker_opens_per_hour is not null
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
timed as (
    select
        run_id,
        host,
        openings_in_window,
        state_before as old_state,
        ts,
        row_number() over (order by run_id, host, ts, state_before, transition_id) as opening,
    from {{ ref('int_breaker_openings') }}
),

worst as (
    select
        run_id,
        host,
        first(ts order by openings_in_window desc, ts asc) as hour_began_ts,
    from timed
    group by run_id, host
),

counted_openings as (
    select
        timed.run_id,
        timed.opening,
        timed.host,
        timed.old_state,
    from timed
    inner join worst
        on
            timed.run_id = worst.run_id
            and timed.host = worst.host
    where
        round((timed.ts - worst.hour_began_ts) * 1e6)
        between 0 and {{ var('breaker_window_us') }} - 1
),

placed as (
    select
        failures.run_id,
        failures.failure,
        failures.sample_weight,
        timed.opening,
    from failures
    asof inner join timed
        on
            failures.run_id = timed.run_id
            and failures.host = timed.host
            and failures.ts <= timed.ts
),

divided as (
    select
        counted_openings.run_id,
        counted_openings.opening,
        counted_openings.host,
        counted_openings.old_state,
        coalesce(placed.failure, 'no failure recorded') as failure,
        coalesce(sum(placed.sample_weight), 1) as weight,
    from counted_openings
    left join placed
        on
            counted_openings.run_id = placed.run_id
            and counted_openings.opening = placed.opening
    group by all
),

shares as (
    select
        run_id,
        host,
        old_state,
        failure,
        weight / sum(weight) over (partition by opening) as openings,
    from divided
),

counted as (
    select
        run_id,
        host,
        'failure' as dimension,
        failure as segment,
        sum(openings) as openings,
    from shares
    group by run_id, host, failure
    union all
    select
        run_id,
        host,
        'state_before' as dimension,
        old_state as segment,
        sum(openings) as openings,
    from shares
    group by run_id, host, old_state
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
