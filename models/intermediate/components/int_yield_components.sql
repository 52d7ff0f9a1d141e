-- An artifact goes from resolver to resolver until one delivers, so that a resolver answers for the
-- artifacts it was asked for, and has credit for those it delivered. Its route is whom it was asked
-- of first: artifacts of one route go through the same resolvers.
with artifacts as (
    select * from {{ ref('int_artifacts') }}
    where is_success is not null
),

attempts as (
    select
        run_id,
        'id:' || artifact_id as artifact_key,
        coalesce(resolver, 'unknown') as resolver,
        coalesce(tier, 'unknown') as tier,
        coalesce(host, 'unknown') as host,
        coalesce(outcome, 'unknown') as outcome,
        status,
        ts,
        attempt_id,
        file_id,
    from {{ ref('stg_fallback_attempts') }}
    where artifact_id is not null
),

-- the attempt that decided: the one that delivered, else the last
decisive as (
    select
        artifacts.run_id,
        artifacts.artifact_key,
        artifacts.is_success,
        any_value(artifacts.resolver) as recorded_resolver,
        first(
            attempts
            order by
                artifacts.is_success and attempts.resolver = artifacts.resolver desc,
                artifacts.is_success and attempts.outcome = 'success' desc,
                attempts.ts desc,
                attempts.attempt_id desc,
                attempts.file_id desc
        ) as attempt,
    from artifacts
    left join attempts
        on
            artifacts.run_id = attempts.run_id
            and artifacts.artifact_key = attempts.artifact_key
    group by all
),

fates as (
    select
        run_id,
        artifact_key,
        is_success,
        if(recorded_resolver <> 'unknown', recorded_resolver, coalesce(attempt.resolver, 'unknown'))
            as resolver,
        coalesce(attempt.tier, 'unknown') as tier,
        coalesce(attempt.host, 'unknown') as host,
        concat_ws(' ', coalesce(attempt.outcome, 'no attempt recorded'), attempt.status) as outcome,
    from decisive
),

asked as (
    select
        attempts.run_id,
        attempts.artifact_key,
        false as has_delivered,
        attempts.ts,
        attempts.attempt_id,
        attempts.file_id,
        attempts.resolver,
        attempts.tier,
        attempts.host,
    from attempts
    semi join artifacts
        on
            attempts.run_id = artifacts.run_id
            and attempts.artifact_key = artifacts.artifact_key
    union all
    select
        run_id,
        artifact_key,
        is_success as has_delivered,
        'infinity'::double as ts,
        null as attempt_id,
        null as file_id,
        resolver,
        tier,
        host,
    from fates
),

by_dimension as (
    select
        run_id,
        artifact_key,
        has_delivered,
        dimension,
        segment,
        first_value(segment) over (
            partition by run_id, artifact_key, dimension
            order by ts, attempt_id, file_id
        ) as route,
    from asked
    unpivot (segment for dimension in (resolver, tier, host))
),

asks as (
    select
        run_id,
        artifact_key,
        dimension,
        route,
        segment,
        bool_or(has_delivered) as has_delivered,
    from by_dimension
    group by run_id, artifact_key, dimension, route, segment
),

bases as (
    select
        run_id,
        dimension,
        route,
        count(distinct artifact_key) as artifacts,
    from asks
    group by run_id, dimension, route
    union all
    select
        run_id,
        'outcome' as dimension,
        'all' as route,
        count(*) as artifacts,
    from artifacts
    group by run_id
),

counted as (
    select
        run_id,
        dimension,
        'ratio' as kind,
        route,
        segment,
        count(*) filter (has_delivered) as numerator,
        count(*) as denominator,
    from asks
    group by run_id, dimension, route, segment
    union all
    select
        run_id,
        'outcome' as dimension,
        'loss' as kind,
        'all' as route,
        if(is_success, null, outcome) as segment,
        count(*) filter (not is_success) as numerator,
        count(*) filter (not is_success) as denominator,
    from fates
    group by run_id, if(is_success, null, outcome)
),

final as (
    select
        counted.run_id,
        'yield_pct' as slo,
        'run' as scope,
        null::varchar as subject,
        counted.dimension,
        counted.kind,
        counted.route,
        counted.segment,
        counted.numerator::double as numerator,
        counted.denominator::double as denominator,
        bases.artifacts::double as base,
    from counted
    inner join bases
        on
            counted.run_id = bases.run_id
            and counted.dimension = bases.dimension
            and counted.route = bases.route

    union all

    select
        run_id,
        'corruption_count' as slo,
        'run' as scope,
        null::varchar as subject,
        'resolver' as dimension,
        'share' as kind,
        'all' as route,
        if(is_corrupt, resolver, null) as segment,
        count(*) filter (is_corrupt)::double as numerator,
        count(*) filter (is_corrupt)::double as denominator,
        1.0::double as base,
    from artifacts
    where is_corrupt is not null
    group by run_id, if(is_corrupt, resolver, null)
)

select * from final
