-- What to do about a cause: the guide's remedies with values from what was measured, kept between
-- the bounds of the seed remedy_limits. A remedy without a value has none to give.
with causes as (
    select * from {{ ref('diagnosis_causes') }}
    where
        -- what explains a small part needs no remedy of its own, but half-done artifacts all do
        topic = 'corruption'
        or (
            place <= {{ var('diagnosis_causes_explained') }}
            and (place = 1 or share_of_change >= {{ var('diagnosis_least_share') }})
        )
),

symptoms as (
    select * from {{ ref('diagnosis_symptoms') }}
),

limits as (
    select * from {{ ref('remedy_limits') }}
),

paces as (
    select * from {{ ref('host_pace') }}
    where run_id = {{ diagnosed_run() }}
),

paces_before as (
    select
        host,
        sum(failed_requests) / nullif(sum(network_requests), 0) as part_failed,
    from {{ ref('host_pace') }}
    where list_contains({{ diagnosed_baselines() }}, run_id)
    group by host
),

efforts as (
    select * from {{ ref('resolver_effort') }}
    where list_contains({{ diagnosed_runs() }}, run_id)
),

attempts as (
    select * from {{ ref('attempt_outcomes') }}
    where run_id = {{ diagnosed_run() }}
),

measured as (
    select * from {{ ref('diagnosis_measured') }}
),

intervals as (
    select * from {{ ref('breaker_intervals') }}
    where run_id = {{ diagnosed_run() }}
),

half_done as (
    select * from {{ ref('half_done_artifacts') }}
    where run_id = {{ diagnosed_run() }}
),

-- an attempt that an open breaker forbade says nothing of the resolver
losses as (
    select
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        sum(attempts.attempts) as lost,
        coalesce(
            sum(attempts.attempts) filter (
                attempts.outcome = 'skipped'
                and regexp_matches(attempts.reason, 'breaker|circuit', 'i')
            ),
            0
        ) as forbidden,
        list(distinct coalesce(attempts.host, 'unknown')) filter (
            attempts.outcome = 'skipped'
            and regexp_matches(attempts.reason, 'breaker|circuit', 'i')
        ) as hosts,
    from causes
    inner join attempts on causes.resolver = attempts.resolver
    where
        causes.topic = 'yield'
        and attempts.outcome <> 'success'
    group by causes.slo, causes.scope, causes.subject, causes.segment
    having forbidden > lost / 2
),

forbidding as (
    select
        slo,
        scope,
        subject,
        segment,
        lost,
        forbidden,
        unnest(hosts) as host,
    from losses
),

blamed as (
    select
        causes.* replace (coalesce(causes.host, forbidding.host) as host),
        forbidding.lost,
        forbidding.forbidden,
    from causes
    left join forbidding
        on
            {{ same_slo('causes', 'forbidding') }}
            and causes.segment = forbidding.segment
),

-- why breakers opened: the openings of the worst hour, by the failures before them
openers as (
    select
        subject as host,
        string_agg(
            format('{:.0f} % after {}', share_pct, segment),
            ', ' order by share_pct desc, segment asc
        ) as opened_by,
        sum(numerator_now) as opened_in_worst_hour,
        sum(numerator_now) filter (segment = 'no failure recorded') as opened_without_failure,
    from (
        -- an opening is divided among the failures before it: shares, as nobody sees half of one
        select
            subject,
            segment,
            numerator_now,
            100 * numerator_now / sum(numerator_now) over (partition by subject) as share_pct,
        from measured
        where
            slo = 'breaker_opens_per_hour'
            and dimension = 'failure'
            and numerator_now > 0
    ) as openings
    group by subject
),

summed_hosts as (
    select
        blamed.slo,
        blamed.scope,
        blamed.subject,
        blamed.segment,
        blamed.place,
        blamed.topic,
        blamed.host,
        blamed.role,
        blamed.rate_now_pct,
        blamed.lost,
        blamed.forbidden,
        sum(paces.network_requests) as network_requests,
        -- roles need not have been asked for at the same time
        max(if(blamed.role is null, paces.host_requests_per_s, paces.requests_per_s))
            as requests_per_s,
        sum(paces.http_429_requests) as http_429_requests,
        sum(paces.failed_requests) as failed_requests,
        max(paces.retry_after_p50_s) as retry_after_p50_s,
        sum(paces.repeats) as repeats,
        sum(paces.repeats_fetched) as repeats_fetched,
        sum(paces.urls) as urls,
        sum(paces.fetched_first)::bigint as fetched_first,
        sum(paces.fetched_after_failure)::bigint as fetched_after_failure,
        sum(paces.fetched_promptly)::bigint as fetched_promptly,
        sum(paces.fetched_late)::bigint as fetched_late,
        max(paces.prompt_age_p95_s) as prompt_age_p95_s,
        max(paces.late_age_p95_s) as late_age_p95_s,
        max(paces.cached_age_max_s) as cached_age_max_s,
    from blamed
    inner join paces
        on
            blamed.host = paces.host
            and (blamed.role is null or blamed.role = paces.role)
            and (blamed.slo <> 'cache_hit_pct' or paces.role = 'metadata')
    group by all
),

of_hosts as (
    select
        *,
        http_429_requests / nullif(network_requests, 0) as part_429,
        (http_429_requests + failed_requests) / nullif(network_requests, 0) as part_failed,
    from summed_hosts
),

opened as (
    select
        of_hosts.*,
        symptoms.target,
        symptoms.compared_with,
        openers.opened_by,
        openers.opened_in_worst_hour,
        openers.opened_without_failure,
        paces_before.part_failed as part_failed_before,
        count(*) as openings,
        count(*) filter (intervals.state_before = 'closed') as openings_from_closed,
        median(intervals.seconds_open) as open_p50_s,
    from of_hosts
    inner join symptoms
        on {{ same_slo('of_hosts', 'symptoms') }}
    inner join intervals on of_hosts.host = intervals.host
    left join openers on of_hosts.host = openers.host
    left join paces_before on of_hosts.host = paces_before.host
    where of_hosts.topic in ('breaker', 'yield')
    group by all
),

-- Openings that no failure is behind say nothing of the host. Of the causes that do, the first one
-- gets what cures them all. After a half-open state one failure is enough, so that only openings
-- from closed tell what a breaker bears: at most the failures for each of these.
of_breakers as (
    select
        *,
        place = min(place) filter (segment is distinct from 'no failure recorded') over (
            partition by slo, scope, subject
        ) as is_first_failing,
        failed_requests > 0
        and failed_requests / network_requests > if(
            compared_with = 'runs', coalesce(part_failed_before, 0), 0
        ) as has_more_failures,
        (http_429_requests + failed_requests) / nullif(openings_from_closed, 0)
            as failures_borne,
    from opened
),

summed_resolvers as (
    select
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        causes.place,
        causes.topic,
        causes.resolver,
        sum(efforts.attempts) filter (efforts.run_id = {{ diagnosed_run() }})::double
            as attempts_now,
        sum(efforts.timeouts) filter (efforts.run_id = {{ diagnosed_run() }}) as timeouts_now,
        sum(efforts.attempts) filter (efforts.run_id <> {{ diagnosed_run() }})
            as attempts_before,
        sum(efforts.timeouts) filter (efforts.run_id <> {{ diagnosed_run() }})
            as timeouts_before,
        max(efforts.timeout_p50_ms) filter (efforts.run_id = {{ diagnosed_run() }})
            as timeout_p50_ms,
        max(efforts.success_p95_ms) filter (efforts.run_id = {{ diagnosed_run() }})
            as success_p95_ms,
        median(efforts.success_p95_ms) filter (efforts.run_id <> {{ diagnosed_run() }})
            as success_p95_before_ms,
    from causes
    inner join efforts on causes.resolver = efforts.resolver
    group by all
),

of_resolvers as (
    select
        *,
        timeouts_now / attempts_now as part_timeouts,
        timeouts_before / attempts_before as part_timeouts_before,
    from summed_resolvers
),

of_answers as (
    select
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        sum(attempts.attempts) filter (
            attempts.outcome <> 'success'
            and (attempts.outcome = 'error' or attempts.status >= 500)
        )::double as broken,
        (sum(attempts.attempts) filter (attempts.outcome <> 'skipped'))::double as attempts,
    from causes
    inner join attempts on causes.resolver = attempts.resolver
    group by all
),

-- why what the cache should have answered was fetched, the most frequent reason first
of_fetches as (
    select
        *,
        sum(fetches) over hosts as all_fetches,
        row_number() over (hosts order by fetches desc, why asc) as turn,
    from of_hosts
    unpivot (
        fetches for why
        in (fetched_first, fetched_after_failure, fetched_promptly, fetched_late)
    )
    where slo = 'cache_hit_pct'
    window hosts as (partition by slo, scope, subject, segment, host)
),

of_half_done as (
    select
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        causes.place,
        causes.resolver,
        half_done.missing,
        count(*) as artifacts,
        list_sort(list(half_done.artifact))[:{{ var('diagnosis_named_artifacts') }}] as names,
    from causes
    inner join half_done on causes.resolver = half_done.resolver
    where causes.topic = 'corruption'
    group by all
),

retries as (
    select max(most_retries) as most_retries from paces
),

-- The expected time to a success is least when resolvers are asked in the order of time per try
-- divided by chance of success (Simon and Kadane 1975, "Optimal problem-solving search", Artificial
-- Intelligence 6: 235). One that never succeeded goes last; those of equal cost stay as they are.
costs as (
    select
        resolver,
        successes,
        elapsed_mean_ms * (attempts - coalesce(skipped, 0)) / nullif(successes, 0) as cost_ms,
        row_number() over (order by mean_place asc, attempts desc, resolver asc) as place_now,
    from efforts
    where
        run_id = {{ diagnosed_run() }}
        and resolver <> 'unknown'
        and mean_place is not null
),

orders as (
    select
        string_agg(resolver, ', ' order by place_now) as order_now,
        string_agg(resolver, ', ' order by cost_ms asc nulls last, place_now asc) as order_proposed,
    from costs
    having sum(successes) > 0
),

wanted as (
    select
        slo,
        scope,
        subject,
        segment,
        place,
        1 as turn,
        'Lower the requests per second' as remedy,
        'rps_lower' as setting,
        concat_ws(', role ', host, role) as applies_to,
        requests_per_s as observed,
        requests_per_s * (1 - part_429) as base,
        null::varchar as proposed_text,
        format(
            '{:,.0f} of {:,.0f} network requests at {:.2f} a second were answered 429, so the host '
            || 'grants about {:.2f} a second; a tenth less leaves room',
            http_429_requests,
            network_requests,
            requests_per_s,
            requests_per_s * (1 - part_429)
        ) as reason,
    from of_hosts
    where
        http_429_requests > 0
        and requests_per_s > 0
        and (
            slo = 'http_429_pct'
            or (slo = 'breaker_opens_per_hour' and segment = '429')
            or topic = 'yield'
        )

    union all

    select
        slo,
        scope,
        subject,
        segment,
        place,
        2 as turn,
        'Wait after a 429 as long as the host asks' as remedy,
        'retry_after_s' as setting,
        host as applies_to,
        retry_after_p50_s as observed,
        retry_after_p50_s as base,
        null::varchar as proposed_text,
        format('the median Retry-After that it sent was {:.1f} s', retry_after_p50_s) as reason,
    from of_hosts
    where
        retry_after_p50_s > 0
        and (
            slo = 'http_429_pct'
            or (slo = 'breaker_opens_per_hour' and segment = '429')
            or topic = 'yield'
        )

    union all

    select
        slo,
        scope,
        subject,
        segment,
        place,
        1 as turn,
        if(http_429_requests > 0, 'Ask less of the host', 'Raise the limiter''s rate') as remedy,
        if(http_429_requests > 0, null, 'rps_raise') as setting,
        concat_ws(', role ', host, role) as applies_to,
        requests_per_s as observed,
        requests_per_s * (1 + rate_now_pct / 100) / 2 as base,
        null::varchar as proposed_text,
        format(
            '{:.1f} % of its requests waited longer than the target at {:.2f} requests a second, '
            || 'and it answered {:,.0f} with 429',
            rate_now_pct,
            requests_per_s,
            http_429_requests
        ) as reason,
    from of_hosts
    where
        slo = 'rate_delay_p95_ms'
        and requests_per_s > 0

    union all

    select
        slo,
        scope,
        subject,
        segment,
        place,
        3 as turn,
        'Let the breaker bear more failures, at least as many as this' as remedy,
        'fail_max' as setting,
        host as applies_to,
        failures_borne as observed,
        failures_borne as base,
        null::varchar as proposed_text,
        format(
            'only {:.1f} % of its requests failed, {:.1f} for each of {} from closed, so '
            || 'that it bears no more than these now',
            100 * part_failed,
            failures_borne,
            {{ plural('openings_from_closed', 'opening') }}
        ) as reason,
    from of_breakers
    where
        is_first_failing
        -- fewer failures than openings: most of them were not recorded, and nothing is known
        and failures_borne >= 1
        and part_failed < {{ var('diagnosis_host_down_part') }}

    union all

    select
        slo,
        scope,
        subject,
        segment,
        place,
        2 as turn,
        'Give the host longer to recover' as remedy,
        'reset_timeout_s' as setting,
        host as applies_to,
        open_p50_s as observed,
        greatest(open_p50_s, 3600 / nullif(target, 0) / 2) as base,
        null::varchar as proposed_text,
        format(
            '{}, {:.0f} s long at the median; {:.0f} openings an hour leave {:.0f} s each',
            {{ plural('openings', 'opening') }},
            open_p50_s,
            target,
            3600 / nullif(target, 0)
        ) as reason,
    from of_breakers
    where
        is_first_failing
        and topic = 'breaker'
        and open_p50_s is not null

    union all

    select
        slo,
        scope,
        subject,
        segment,
        place,
        1 as turn,
        'Tell the host''s operator, and mark it as degraded so that others are asked first'
            as remedy,
        null as setting,
        host as applies_to,
        100 * part_failed as observed,
        null as base,
        null::varchar as proposed_text,
        format(
            '{:,.0f} of {:,.0f} network requests got 5xx or no answer{}',
            failed_requests,
            network_requests,
            coalesce(format(' ({:.1f} % before)', 100 * part_failed_before), '')
        ) as reason,
    from of_breakers
    where
        has_more_failures
        and (
            (topic = 'breaker' and segment in ('5xx', 'exception'))
            or (topic = 'yield' and is_first_failing and failed_requests > http_429_requests)
        )

    union all

    select
        slo,
        scope,
        subject,
        segment,
        place,
        1 as turn,
        'See that every request is recorded, or who else opens the breaker' as remedy,
        null as setting,
        host as applies_to,
        100 * part_failed as observed,
        null as base,
        null::varchar as proposed_text,
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
    from of_breakers
    where
        topic = 'breaker'
        and segment = 'no failure recorded'

    union all

    select
        slo,
        scope,
        subject,
        segment,
        place,
        0 as turn,
        'See why its breaker opened: diagnose breaker' as remedy,
        null as setting,
        host as applies_to,
        100 * forbidden / lost as observed,
        null as base,
        null::varchar as proposed_text,
        format(
            '{:,.0f} of {:,.0f} attempts without success were skipped as a breaker was open; it '
            || 'opened {}{}',
            forbidden::double,
            lost::double,
            {{ plural('openings', 'time') }},
            coalesce(format(', in its worst hour {}', opened_by), '')
        ) as reason,
    from of_breakers
    where topic = 'yield'

    union all

    select
        slo,
        scope,
        subject,
        segment,
        place,
        2 as turn,
        if(topic = 'ttfp', 'Bound its time', 'Give it more time') as remedy,
        if(topic = 'ttfp', 'timeout_s', 'timeout_s_raise') as setting,
        resolver as applies_to,
        if(topic = 'ttfp', success_p95_ms, timeout_p50_ms) / 1000 as observed,
        if(
            topic = 'ttfp',
            coalesce(success_p95_before_ms, success_p95_ms),
            timeout_p50_ms
        ) / 1000 as base,
        null::varchar as proposed_text,
        if(
            topic = 'ttfp',
            format(
                'its successful attempts take {:,.0f} ms at p95{}; who needs half as long again '
                || 'is seldom worth waiting for',
                success_p95_ms,
                coalesce(format(' ({:,.0f} ms before)', success_p95_before_ms), '')
            ),
            format(
                '{:.1f} % of its {:,.0f} attempts timed out{}, after {:,.0f} ms at the median',
                100 * part_timeouts,
                attempts_now,
                coalesce(format(' ({:.1f} % before)', 100 * part_timeouts_before), ''),
                timeout_p50_ms
            )
        ) as reason,
    from of_resolvers
    where
        (topic = 'ttfp' and success_p95_ms is not null)
        or (
            topic = 'yield'
            and timeout_p50_ms is not null
            and part_timeouts - coalesce(part_timeouts_before, 0)
            >= {{ var('diagnosis_more_timeouts_part') }}
        )

    union all

    select
        of_resolvers.slo,
        of_resolvers.scope,
        of_resolvers.subject,
        of_resolvers.segment,
        of_resolvers.place,
        3 as turn,
        'Raise the retry budget' as remedy,
        'retry_budget' as setting,
        of_resolvers.resolver as applies_to,
        retries.most_retries as observed,
        coalesce(retries.most_retries, 0) + 1 as base,
        null::varchar as proposed_text,
        format(
            '{}, and no request was retried more than {} times',
            if(of_resolvers.part_timeouts_before is null, 'attempts timed out', 'timeouts grew'),
            coalesce(retries.most_retries, 0)
        ) as reason,
    from of_resolvers
    cross join retries
    where
        of_resolvers.topic = 'yield'
        and of_resolvers.part_timeouts - coalesce(of_resolvers.part_timeouts_before, 0)
        >= {{ var('diagnosis_more_timeouts_part') }}

    union all

    select
        of_resolvers.slo,
        of_resolvers.scope,
        of_resolvers.subject,
        of_resolvers.segment,
        of_resolvers.place,
        1 as turn,
        'Look at the resolver''s endpoint; take it out until it is back' as remedy,
        null as setting,
        of_resolvers.resolver as applies_to,
        100 * of_answers.broken / of_answers.attempts as observed,
        null as base,
        null::varchar as proposed_text,
        format(
            '{:,.0f} of its {:,.0f} attempts that were made ended with an error or HTTP 5xx',
            of_answers.broken,
            of_answers.attempts
        ) as reason,
    from of_resolvers
    inner join of_answers
        on
            {{ same_slo('of_resolvers', 'of_answers') }}
            and of_resolvers.segment = of_answers.segment
    where
        of_resolvers.topic = 'yield'
        and of_answers.broken >= {{ var('diagnosis_host_down_part') }} * of_answers.attempts

    union all

    select
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        causes.place,
        4 as turn,
        'Reorder the resolvers, fast ones that often succeed first' as remedy,
        'resolver_order' as setting,
        'all resolvers' as applies_to,
        null as observed,
        null as base,
        orders.order_proposed as proposed_text,
        format(
            'by time per attempt divided by chance of success; they are asked in the order {}',
            orders.order_now
        ) as reason,
    from causes
    cross join orders
    where
        causes.topic in ('yield', 'ttfp')
        and causes.place = 1
        and orders.order_now <> orders.order_proposed
        and not exists (
            from losses
            where
                losses.slo = causes.slo
                and losses.segment = causes.segment
        )

    union all

    select
        slo,
        scope,
        subject,
        segment,
        place,
        1 as turn,
        'Record hashes of its URLs' as remedy,
        null as setting,
        host as applies_to,
        null as observed,
        null as base,
        null::varchar as proposed_text,
        'without them it is unknown whether it is asked for the same again' as reason,
    from of_hosts
    where
        slo = 'cache_hit_pct'
        and urls = 0

    union all

    select
        of_fetches.slo,
        of_fetches.scope,
        of_fetches.subject,
        of_fetches.segment,
        of_fetches.place,
        of_fetches.turn,
        case of_fetches.why
            when 'fetched_late' then 'Keep its answers longer, and its ETags'
            when 'fetched_promptly'
                then
                    'See that its answers are stored at all, and let a second request for a URL '
                    || 'wait for the first'
            when 'fetched_after_failure'
                then 'See why its requests fail: only an answer can be kept'
            else
                'Leave what changes with each request out of the cache''s key, or let a first run '
                || 'fill the cache'
        end as remedy,
        if(of_fetches.why = 'fetched_late', 'cache_ttl_s', null) as setting,
        of_fetches.host as applies_to,
        if(of_fetches.why = 'fetched_late', of_fetches.late_age_p95_s, null) as observed,
        if(of_fetches.why = 'fetched_late', of_fetches.late_age_p95_s, null) as base,
        null::varchar as proposed_text,
        format(
            case of_fetches.why
                when 'fetched_late'
                    then
                        '{0} of {1} fetches were of URLs whose answer was older than any that the '
                        || 'cache gave ({2}), or to be revalidated; 95 % of them were at most {3} '
                        || 's old'
                when 'fetched_promptly'
                    then
                        '{0} of {1} fetches were of URLs fetched before, 95 % of them no more than '
                        || '{4} s before; of what was fetched the cache gave answers {2}, so that '
                        || 'longer lifetimes would not help'
                when 'fetched_after_failure'
                    then
                        '{0} of {1} fetches were of URLs whose fetch before had been answered 4xx '
                        || 'or 5xx, or not at all'
                else '{0} of {1} fetches were of URLs not asked for before in the run'
            end,
            format('{:,}', of_fetches.fetches),
            format('{:,}', of_fetches.all_fetches),
            coalesce(format('up to {:,.3g} s old', of_fetches.cached_age_max_s), 'of no age'),
            coalesce(format('{:,.3g}', of_fetches.late_age_p95_s), ''),
            coalesce(format('{:,.3g}', of_fetches.prompt_age_p95_s), '')
        ) as reason,
    from of_fetches
    where of_fetches.fetches >= {{ var('diagnosis_least_share') }} * of_fetches.all_fetches

    union all

    select
        of_half_done.slo,
        of_half_done.scope,
        of_half_done.subject,
        of_half_done.segment,
        of_half_done.place,
        if(of_half_done.missing = 'file', 1, 2) as turn,
        case of_half_done.missing
            when 'file' then 'Crawl the artifacts again whose file was not stored'
            else
                'Move aside the files without a checksum, which may be cut off, and crawl their '
                || 'artifacts again'
        end as remedy,
        null as setting,
        of_half_done.resolver as applies_to,
        null as observed,
        null as base,
        null::varchar as proposed_text,
        format(
            '{} {}: {}{}',
            if(
                of_half_done.artifacts = 1,
                '1 artifact has',
                format('{:,} artifacts have', of_half_done.artifacts)
            ),
            if(
                of_half_done.missing = 'file', 'a checksum but no file', 'a file but no checksum'
            ),
            array_to_string(of_half_done.names, ', '),
            if(
                of_half_done.artifacts > len(of_half_done.names),
                format(
                    ' and {:,} more, all in half_done_artifacts',
                    of_half_done.artifacts - len(of_half_done.names)
                ),
                ''
            )
        ) as reason,
    from of_half_done
),

bounded as (
    select
        wanted.*,
        limits.unit,
        limits.lowest,
        limits.highest,
        limits.direction,
        limits.instead,
        wanted.base * limits.factor as value_wanted,
        -- NULL stays NULL, which greatest() alone would make the lowest
        if(
            value_wanted is null,
            null,
            least(limits.highest, greatest(limits.lowest, value_wanted))
        ) as value_bounded,
        if(limits.unit = 'requests/s', round(value_bounded, 2), ceil(value_bounded))
            as value_rounded,
    from wanted
    left join limits on wanted.setting = limits.setting
),

-- a bound may lie on the wrong side of what is observed: to go there would do the opposite
directed as (
    select
        *,
        coalesce(
            case direction
                when 'down' then value_rounded >= observed
                when 'up' then value_rounded <= observed
            end,
            false
        ) as is_contrary,
    from bounded
),

final as (
    select
        slo,
        scope,
        subject,
        segment,
        remedy,
        regexp_replace(setting, '_(lower|raise)$', '') as setting,
        applies_to,
        if(is_contrary, null, value_rounded) as proposed,
        proposed_text,
        unit,
        lowest,
        highest,
        value_wanted not between lowest and highest as is_bounded,
        observed,
        case
            when is_contrary
                then format(
                    '{}; this cannot be done: it is {:.3g} {}, and no {} than {:g} is proposed. '
                    || 'Instead, {}',
                    reason,
                    observed,
                    unit,
                    if(direction = 'down', 'less', 'more'),
                    if(direction = 'down', lowest, highest),
                    instead
                )
            when is_bounded
                then format(
                    '{}; {:.3g} {} are wanted, but no {} than {:g} is proposed. If that does not '
                    || 'help, {}',
                    reason,
                    value_wanted,
                    unit,
                    if(value_wanted < lowest, 'less', 'more'),
                    if(value_wanted < lowest, lowest, highest),
                    instead
                )
            else reason
        end as reason,
        row_number() over (
            partition by slo, scope, subject
            order by place, turn, applies_to, remedy, setting
        ) as place,
    from directed
)

select * from final
