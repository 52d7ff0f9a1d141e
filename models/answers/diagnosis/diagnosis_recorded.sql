-- What was recorded of a cause's resolver, host or breaker in the runs that are compared.
with causes as (
    select * from {{ ref('diagnosis_causes') }}
    where
        place <= {{ var('diagnosis_causes_explained') }}
        or topic = 'corruption'
),

{% for name, model in [
    ('attempts', 'attempt_outcomes'),
    ('half_done', 'half_done_artifacts'),
    ('responses', 'host_responses'),
    ('limiter', 'limiter_blocks'),
    ('intervals', 'breaker_intervals'),
] %}
{{ name }} as (
    select
        *,
        run_id = {{ diagnosed_run() }} as is_now,
    from {{ ref(model) }}
    where list_contains({{ diagnosed_runs() }}, run_id)
),

{% endfor %}
recorded as (
    select
        causes as cause,
        'attempt_outcomes' as found_in,
        concat_ws(', ', attempts.outcome, 'HTTP ' || attempts.status, attempts.reason) as what,
        attempts.is_now,
        attempts.attempts::double as amount,
        attempts.elapsed_p50_ms,
        attempts.example_artifact as example,
        attempts.first_at,
        attempts.last_at,
        attempts.attempts * if(causes.topic = 'ttfp', coalesce(attempts.elapsed_p50_ms, 0), 1)
            as weight,
    from causes
    inner join attempts on causes.resolver = attempts.resolver
    where
        causes.topic = 'ttfp'
        or (causes.topic = 'yield' and attempts.outcome <> 'success')
    union all by name
    select
        causes as cause,
        'half_done_artifacts' as found_in,
        concat_ws(
            ', ',
            if(half_done.missing = 'file', 'checksum without a file', 'file without a checksum'),
            half_done.resolver,
            half_done.host,
            half_done.dedupe_action
        ) as what,
        half_done.is_now,
        count(*)::double as amount,
        array_to_string(list_sort(list(half_done.artifact))[:3], ', ') as example,
        min(half_done.occurred_at) as first_at,
        max(half_done.occurred_at) as last_at,
    from causes
    inner join half_done on causes.resolver = half_done.resolver
    where causes.topic = 'corruption'
    group by all
    union all by name
    select
        causes as cause,
        'host_responses' as found_in,
        concat_ws(
            ', ',
            responses.role,
            responses.answer,
            'HTTP ' || responses.status,
            responses.error,
            'Retry-After ' || responses.retry_after_p50_s::decimal(18, 1) || ' s'
        ) as what,
        responses.is_now,
        responses.requests as amount,
        responses.elapsed_p50_ms,
        responses.first_at,
        responses.last_at,
    from causes
    inner join responses
        on
            causes.host = responses.host
            and (causes.role is null or causes.role = responses.role)
    where
        case if(causes.slo = 'breaker_opens_per_hour', causes.segment, causes.slo)
            when 'http_429_pct' then responses.status = 429
            when '429' then responses.status = 429
            when '5xx' then responses.status between 500 and 599
            when 'exception' then responses.answer = 'exception'
            when 'cache_hit_pct' then responses.role = 'metadata'
            else false
        end
    union all by name
    select
        causes as cause,
        'limiter_blocks' as found_in,
        format(
            '{} decisions, {} blocked, longest delay {} ms',
            limiter.decisions,
            limiter.blocks,
            coalesce(round(limiter.longest_delay_ms)::bigint::varchar, '–')
        ) as what,
        limiter.is_now,
        limiter.blocks::double as amount,
        limiter.delay_ms / limiter.decisions as elapsed_p50_ms,
    from causes
    inner join limiter
        on
            causes.host = limiter.host
            and causes.role = limiter.role
    where
        causes.slo = 'rate_delay_p95_ms'
        and limiter.is_now
    union all by name
    select
        causes as cause,
        'breaker_intervals' as found_in,
        'breaker opened from ' || intervals.state_before as what,
        intervals.is_now,
        count(*)::double as amount,
        1000 * median(intervals.seconds_open) as elapsed_p50_ms,
        min(intervals.opened_at) as first_at,
        max(intervals.opened_at) as last_at,
    from causes
    inner join intervals on causes.host = intervals.host
    where
        causes.slo = 'breaker_opens_per_hour'
        and (causes.place = 1 or causes.segment = 'no failure recorded')
    group by all
),

final as (
    select
        cause.topic,
        cause.slo,
        cause.scope,
        cause.subject,
        cause.segment,
        * exclude (cause, weight),
        coalesce(weight, amount) as weight,
    from recorded
)

select * from final
