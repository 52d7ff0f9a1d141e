-- An artifact goes from resolver to resolver until one delivers, so that a resolver answers for the
-- artifacts it was asked for, and has credit for those it delivered. Its route is whom it was asked
-- of first: artifacts of one route go through the same resolvers.
with artifacts as (
    select * from {{ ref('int_artifacts') }}
    where is_success is not null
),

attempts as (
    select
        * exclude (artifact_key),
        'id:' || artifact_id as artifact_key,
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
                artifacts.is_success
                and attempts.resolver = artifacts.resolver desc,
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

asked as (
    select
        attempts.*,
        false as has_delivered,
    from attempts
    semi join artifacts
        on
            attempts.run_id = artifacts.run_id
            and attempts.artifact_key = artifacts.artifact_key
    union all by name
    select
        run_id,
        artifact_key,
        is_success as has_delivered,
        'infinity'::double as ts,
        if(recorded_resolver <> 'unknown', recorded_resolver, attempt.resolver) as resolver,
        attempt.tier,
        attempt.host,
    from decisive
),

by_dimension as (
    select
        run_id,
        artifact_key,
        has_delivered,
        dimension,
        coalesce(member, 'unknown') as segment,
        first_value(segment) over (
            partition by run_id, artifact_key, dimension
            order by ts, attempt_id, file_id
        ) as route,
    from asked
    unpivot include nulls (member for dimension in (resolver, tier, host))
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
    group by all
),

counted as (
    select
        run_id,
        'yield_pct' as slo,
        dimension,
        'ratio' as kind,
        route,
        segment,
        count(*) filter (has_delivered) as numerator,
        count(*) as denominator,
        -- whom a route is named by was asked for all of its artifacts
        max(if(segment = route, count(*), 0)) over (partition by run_id, dimension, route) as base,
    from asks
    group by run_id, dimension, route, segment
    union all by name
    select
        run_id,
        'yield_pct' as slo,
        'outcome' as dimension,
        'loss' as kind,
        if(
            is_success,
            null,
            concat_ws(' ', coalesce(attempt.outcome, 'no attempt recorded'), attempt.status)
        ) as segment,
        count(*) filter (not is_success) as numerator,
        sum(count(*)) over (partition by run_id) as base,
    from decisive
    group by run_id, segment
    union all by name
    select
        run_id,
        'corruption_count' as slo,
        'resolver' as dimension,
        'share' as kind,
        if(is_corrupt, resolver, null) as segment,
        count(*) filter (is_corrupt) as numerator,
        1 as base,
    from artifacts
    where is_corrupt is not null
    group by all
),

final as (
    select
        run_id,
        slo,
        'run' as scope,
        null::varchar as subject,
        dimension,
        kind,
        coalesce(route, 'all') as route,
        segment,
        numerator::double as numerator,
        coalesce(denominator, numerator)::double as denominator,
        base::double as base,
    from counted
)

select * from final
