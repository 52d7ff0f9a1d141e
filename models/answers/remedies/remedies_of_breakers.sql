-- What to do about a breaker that opened: set it, have its host mended, or see why it opened.

with breakers as (
    select * from {{ ref('remedy_breakers') }}
),

final as (
    select
        cause,
        3 as turn,
        'Let the breaker bear more failures, at least as many as this' as remedy,
        'fail_max' as setting,
        host as applies_to,
        failures_borne as observed,
        failures_borne as base,
        format(
            'only {:.1f} % of its requests failed, {:.1f} for each of {} from closed, so '
            || 'that it bears no more than these now',
            100 * part_failed,
            failures_borne,
            {{ plural('openings_from_closed', 'opening') }}
        ) as reason,
    from breakers
    where
        is_first_failing
        -- fewer failures than openings: most of them were not recorded, and nothing is known
        and failures_borne >= 1
        and part_failed < {{ var('diagnosis_host_down_part') }}
    union all by name
    select
        cause,
        2 as turn,
        'Give the host longer to recover' as remedy,
        'reset_timeout_s' as setting,
        host as applies_to,
        open_p50_s as observed,
        greatest(open_p50_s, 3600 / nullif(target, 0) / 2) as base,
        format(
            '{}, {:.0f} s long at the median; {:.0f} openings an hour leave {:.0f} s each',
            {{ plural('openings', 'opening') }},
            open_p50_s,
            target,
            3600 / nullif(target, 0)
        ) as reason,
    from breakers
    where
        is_first_failing
        and cause.topic = 'breaker'
        and open_p50_s is not null
    union all by name
    select
        cause,
        1 as turn,
        'Tell the host''s operator, and mark it as degraded so that others are asked first'
            as remedy,
        host as applies_to,
        100 * part_failed as observed,
        format(
            '{:,.0f} of {:,.0f} network requests got 5xx or no answer{}',
            failed_requests,
            network_requests,
            coalesce(format(' ({:.1f} % before)', 100 * part_failed_before), '')
        ) as reason,
    from breakers
    where
        has_more_failures
        and case cause.topic
            when 'breaker' then cause.segment in ('5xx', 'exception')
            else is_first_failing and failed_requests > http_429_requests
        end
    union all by name
    select
        cause,
        1 as turn,
        'See that every request is recorded, or who else opens the breaker' as remedy,
        host as applies_to,
        100 * part_failed as observed,
        format(
            'of {} openings in the worst hour {} had no failure since the opening before; '
            || '{:,.0f} failures among {:,.0f} network requests and {} are recorded in '
            || 'all. A crawler that asks past its recorder, or does not record what raised, leaves '
            || 'such openings; so do breakers opened by hand, by another process, or by a clock '
            || 'that differs',
            {{ told_count('opened_in_worst_hour') }},
            {{ told_count('opened_without_failure') }},
            http_429_requests + failed_requests,
            network_requests,
            {{ plural('openings', 'opening') }}
        ) as reason,
    from breakers
    where
        cause.topic = 'breaker'
        and cause.segment = 'no failure recorded'
    union all by name
    select
        cause,
        0 as turn,
        'See why its breaker opened: diagnose breaker' as remedy,
        host as applies_to,
        100 * forbidden / lost as observed,
        format(
            '{:,.0f} of {:,.0f} attempts without success were skipped as a breaker was open; it '
            || 'opened {}{}',
            forbidden::double,
            lost::double,
            {{ plural('openings', 'time') }},
            coalesce(format(', in its worst hour {}', opened_by), '')
        ) as reason,
    from breakers
    where cause.topic = 'yield'
)

select * from final
