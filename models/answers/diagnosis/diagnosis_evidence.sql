-- The rows behind a cause: what was recorded of its resolver, host or breaker, and how often.
with causes as (
    select * from {{ ref('diagnosis_causes') }}
    where
        place <= {{ var('diagnosis_causes_explained') }}
        or topic = 'corruption'
),

baselines as (
    select unnest({{ diagnosed_baselines() }}) as run_id
),

attempts as (
    select * from {{ ref('attempt_outcomes') }}
    where list_contains({{ diagnosed_runs() }}, run_id)
),

responses as (
    select * from {{ ref('host_responses') }}
    where list_contains({{ diagnosed_runs() }}, run_id)
),

intervals as (
    select * from {{ ref('breaker_intervals') }}
    where list_contains({{ diagnosed_runs() }}, run_id)
),

half_done as (
    select * from {{ ref('half_done_artifacts') }}
    where list_contains({{ diagnosed_runs() }}, run_id)
),

limiter as (
    select * from {{ ref('limiter_blocks') }}
    where list_contains({{ diagnosed_runs() }}, run_id)
),

of_attempts as (
    select
        causes.topic,
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        'attempt_outcomes' as found_in,
        concat_ws(', ', attempts.outcome, 'HTTP ' || attempts.status, attempts.reason) as what,
        attempts.run_id,
        attempts.attempts::double as amount,
        attempts.elapsed_p50_ms,
        attempts.example_artifact as example,
        attempts.first_at,
        attempts.last_at,
        if(causes.topic = 'ttfp', attempts.attempts * attempts.elapsed_p50_ms, attempts.attempts)
            as weight,
    from causes
    inner join attempts on causes.resolver = attempts.resolver
    where
        causes.topic = 'ttfp'
        or (causes.topic = 'yield' and attempts.outcome <> 'success')
),

of_half_done as (
    select
        causes.topic,
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        'half_done_artifacts' as found_in,
        concat_ws(
            ', ',
            if(half_done.missing = 'file', 'checksum without a file', 'file without a checksum'),
            half_done.resolver,
            half_done.host,
            half_done.dedupe_action
        ) as what,
        half_done.run_id,
        count(*)::double as amount,
        null as elapsed_p50_ms,
        array_to_string(list_sort(list(half_done.artifact))[:3], ', ') as example,
        min(half_done.occurred_at) as first_at,
        max(half_done.occurred_at) as last_at,
        count(*) as weight,
    from causes
    inner join half_done on causes.resolver = half_done.resolver
    where causes.topic = 'corruption'
    group by all
),

of_responses as (
    select
        causes.topic,
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        'host_responses' as found_in,
        concat_ws(
            ', ',
            responses.role,
            responses.answer,
            'HTTP ' || responses.status,
            responses.error,
            'Retry-After ' || responses.retry_after_p50_s::decimal(18, 1) || ' s'
        ) as what,
        responses.run_id,
        responses.requests as amount,
        responses.elapsed_p50_ms,
        null as example,
        responses.first_at,
        responses.last_at,
        responses.requests as weight,
    from causes
    inner join responses
        on
            causes.host = responses.host
            and (causes.role is null or causes.role = responses.role)
    where
        case causes.slo
            when 'http_429_pct' then responses.status = 429
            when 'breaker_opens_per_hour'
                then
                    case causes.segment
                        when 'exception' then responses.answer = 'exception'
                        when '429' then responses.status = 429
                        when '5xx' then responses.status between 500 and 599
                        else false
                    end
            when 'cache_hit_pct' then responses.role = 'metadata'
            else false
        end
),

of_limiter as (
    select
        causes.topic,
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        'limiter_blocks' as found_in,
        format(
            '{} decisions, {} blocked, longest delay {} ms',
            limiter.decisions,
            limiter.blocks,
            coalesce(round(limiter.longest_delay_ms)::bigint::varchar, '–')
        ) as what,
        limiter.run_id,
        limiter.blocks::double as amount,
        limiter.delay_ms / limiter.decisions as elapsed_p50_ms,
        null as example,
        null as first_at,
        null as last_at,
        limiter.blocks as weight,
    from causes
    inner join limiter
        on
            causes.host = limiter.host
            and causes.role = limiter.role
    where
        causes.slo = 'rate_delay_p95_ms'
        and limiter.run_id = {{ diagnosed_run() }}
),

of_intervals as (
    select
        causes.topic,
        causes.slo,
        causes.scope,
        causes.subject,
        causes.segment,
        'breaker_intervals' as found_in,
        'breaker opened from ' || intervals.state_before as what,
        intervals.run_id,
        count(*)::double as amount,
        1000 * median(intervals.seconds_open) as elapsed_p50_ms,
        null as example,
        min(intervals.opened_at) as first_at,
        max(intervals.opened_at) as last_at,
        count(*) as weight,
    from causes
    inner join intervals on causes.host = intervals.host
    where
        causes.slo = 'breaker_opens_per_hour'
        and (causes.place = 1 or causes.segment = 'no failure recorded')
    group by all
),

every as (
    from of_attempts
    union all
    from of_half_done
    union all
    from of_responses
    union all
    from of_limiter
    union all
    from of_intervals
),

compared as (
    select
        topic,
        slo,
        scope,
        subject,
        segment,
        found_in,
        what,
        coalesce(sum(amount) filter (run_id = {{ diagnosed_run() }}), 0) as rows_now,
        -- of one run, where several are compared
        if(
            (select count(*) from baselines) = 0,
            null,
            coalesce(sum(amount) filter (run_id <> {{ diagnosed_run() }}), 0)
            / (select count(*) from baselines)
        ) as rows_before,
        max(elapsed_p50_ms) filter (run_id = {{ diagnosed_run() }}) as elapsed_p50_ms,
        min(example) filter (run_id = {{ diagnosed_run() }}) as example,
        min(first_at) filter (run_id = {{ diagnosed_run() }}) as first_at,
        max(last_at) filter (run_id = {{ diagnosed_run() }}) as last_at,
        coalesce(sum(weight) filter (run_id = {{ diagnosed_run() }}), 0)
        - coalesce(sum(weight) filter (run_id <> {{ diagnosed_run() }}), 0)
        / greatest((select count(*) from baselines), 1) as growth,
    from every
    group by all
),

final as (
    select
        topic,
        slo,
        scope,
        subject,
        segment,
        found_in,
        what,
        rows_now,
        rows_before,
        elapsed_p50_ms,
        example,
        first_at,
        last_at,
        row_number() over (
            partition by slo, scope, subject, segment
            order by growth desc, rows_now desc, found_in asc, what asc
        ) as place,
    from compared
    qualify place <= {{ var('diagnosis_evidence_rows') }}
)

select * from final
