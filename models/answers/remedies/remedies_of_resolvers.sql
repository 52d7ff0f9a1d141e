-- What to do about a resolver that is slow, times out or is down.

with causes as (
    select * from {{ ref('remedy_causes') }}
    where cause.topic in ('yield', 'ttfp')
),

efforts as (
    select
        *,
        run_id = {{ diagnosed_run() }} as is_now,
    from {{ ref('resolver_effort') }}
    where list_contains({{ diagnosed_runs() }}, run_id)
),

attempts as (
    select * from {{ ref('attempt_outcomes') }}
    where run_id = {{ diagnosed_run() }}
),

retries as (
    select max(most_retries) as most_retries from {{ ref('host_pace') }}
    where run_id = {{ diagnosed_run() }}
),

timeouts as (
    select
        resolver,
        sum(attempts) filter (is_now)::double as attempts_now,
        max(timeout_p50_ms) filter (is_now) as timeout_p50_ms,
        max(success_p95_ms) filter (is_now) as success_p95_ms,
        median(success_p95_ms) filter (not is_now) as success_p95_before_ms,
        sum(timeouts) filter (is_now) / attempts_now as part_timeouts,
        sum(timeouts) filter (not is_now) / sum(attempts) filter (not is_now)
            as part_timeouts_before,
        part_timeouts - coalesce(part_timeouts_before, 0)
        >= {{ var('diagnosis_more_timeouts_part') }} as has_more_timeouts,
    from efforts
    group by resolver
),

made as (
    select
        resolver,
        sum(attempts) filter (
            outcome <> 'success'
            and (outcome = 'error' or status >= 500)
        )::double as broken,
        (sum(attempts) filter (outcome <> 'skipped'))::double as attempts_made,
    from attempts
    group by resolver
),

resolvers as (
    select
        causes.cause,
        causes.cause.topic,
        timeouts.*,
        made.broken,
        made.attempts_made,
        retries.most_retries,
    from causes
    inner join timeouts on causes.cause.resolver = timeouts.resolver
    left join made on timeouts.resolver = made.resolver
    cross join retries
),

final as (
    select
        cause,
        2 as turn,
        'Bound its time' as remedy,
        'timeout_s' as setting,
        resolver as applies_to,
        success_p95_ms / 1000 as observed,
        coalesce(success_p95_before_ms, success_p95_ms) / 1000 as base,
        format(
            'its successful attempts take {:,.0f} ms at p95{}; who needs half as long again '
            || 'is seldom worth waiting for',
            success_p95_ms,
            coalesce(format(' ({:,.0f} ms before)', success_p95_before_ms), '')
        ) as reason,
    from resolvers
    where
        topic = 'ttfp'
        and success_p95_ms is not null
    union all by name
    select
        cause,
        2 as turn,
        'Give it more time' as remedy,
        'timeout_s_raise' as setting,
        resolver as applies_to,
        timeout_p50_ms / 1000 as observed,
        timeout_p50_ms / 1000 as base,
        format(
            '{:.1f} % of its {:,.0f} attempts timed out{}, after {:,.0f} ms at the median',
            100 * part_timeouts,
            attempts_now,
            coalesce(format(' ({:.1f} % before)', 100 * part_timeouts_before), ''),
            timeout_p50_ms
        ) as reason,
    from resolvers
    where
        topic = 'yield'
        and has_more_timeouts
        and timeout_p50_ms is not null
    union all by name
    select
        cause,
        3 as turn,
        'Raise the retry budget' as remedy,
        'retry_budget' as setting,
        resolver as applies_to,
        most_retries as observed,
        coalesce(most_retries, 0) + 1 as base,
        format(
            '{}, and no request was retried more than {} times',
            if(part_timeouts_before is null, 'attempts timed out', 'timeouts grew'),
            coalesce(most_retries, 0)
        ) as reason,
    from resolvers
    where
        topic = 'yield'
        and has_more_timeouts
    union all by name
    select
        cause,
        1 as turn,
        'Look at the resolver''s endpoint; take it out until it is back' as remedy,
        resolver as applies_to,
        100 * broken / attempts_made as observed,
        format(
            '{:,.0f} of its {:,.0f} attempts that were made ended with an error or HTTP 5xx',
            broken,
            attempts_made
        ) as reason,
    from resolvers
    where
        topic = 'yield'
        and broken >= {{ var('diagnosis_host_down_part') }} * attempts_made
)

select * from final
