-- A percentile does not add up, but what makes it miss its target does: p95 is at most the target
-- if at most 5 % of the artifacts are slower. Each slower artifact is divided among the steps
-- between its attempts, by the time they took; a step belongs to the attempt it ends with, because
-- attempts are logged when they end. By the wall clock the first attempt is a step too. The mean
-- adds up too, by the same steps; of times cut off at
-- the target, as a few that no percentile knows of would make up most of it.
with attempts as (
    select * from {{ ref('stg_fallback_attempts') }}
    where artifact_key is not null
),

artifacts as (
    select
        run_id,
        artifact_key,
        resolver,
        ttfp_ms,
        ttfp_wall_ms,
    from {{ ref('int_artifact_ttfp') }}
    where ttfp_ms is not null
),

targets as (
    select
        slo,
        scope,
        target,
        starts_with(slo, 'ttfp_wall_') as is_wall,
    from {{ ref('slo_targets') }}
    where
        slo in ('ttfp_wall_p50_ms', 'ttfp_wall_p95_ms', 'ttfp_p50_ms', 'ttfp_p95_ms')
        and scope = 'run'
),

judged as (
    select
        artifacts.run_id,
        artifacts.artifact_key,
        artifacts.resolver,
        targets.slo,
        targets.is_wall,
        if(targets.is_wall, artifacts.ttfp_wall_ms, artifacts.ttfp_ms) as amount_ms,
        amount_ms > targets.target as is_slow,
        least(amount_ms, targets.target) / if(amount_ms > 0, amount_ms, null) as part_counted,
    from artifacts
    cross join targets
),

firsts as (
    select
        run_id,
        artifact_key,
        min(ts) filter (outcome = 'success') as first_success_ts,
    from attempts
    group by run_id, artifact_key
),

steps as (
    select
        attempts.run_id,
        attempts.artifact_key,
        coalesce(attempts.resolver, 'unknown') as resolver,
        coalesce(attempts.host, 'unknown') as host,
        concat_ws(
            ' ', coalesce(attempts.resolver, 'unknown'), coalesce(attempts.outcome, 'unknown')
        ) as outcome,
        lag(attempts.ts) over attempts_of_artifact as previous_ts,
        1000 * (attempts.ts - previous_ts) as step_ms,
        -- only the wall clock knows how long the first attempt itself took
        coalesce(step_ms, attempts.elapsed_ms, 0) as wall_step_ms,
    from attempts
    inner join firsts
        on
            attempts.run_id = firsts.run_id
            and attempts.artifact_key = firsts.artifact_key
    where attempts.ts <= firsts.first_success_ts
    window attempts_of_artifact as (
        partition by attempts.run_id, attempts.artifact_key
        order by attempts.ts, attempts.attempt_id, attempts.file_id
    )
),

timed as (
    select
        run_id,
        artifact_key,
        resolver,
        host,
        outcome,
        false as is_wall,
        step_ms,
    from steps
    union all
    select
        run_id,
        artifact_key,
        resolver,
        host,
        outcome,
        true as is_wall,
        wall_step_ms as step_ms,
    from steps
),

by_dimension as (
    select
        run_id,
        artifact_key,
        is_wall,
        step_ms,
        dimension,
        segment,
    from timed
    unpivot (segment for dimension in (resolver, host, outcome))
    where step_ms > 0
),

blamed as (
    select
        judged.run_id,
        judged.slo,
        by_dimension.dimension,
        by_dimension.segment,
        sum(by_dimension.step_ms / judged.amount_ms) as slow_artifacts,
    from judged
    inner join by_dimension
        on
            judged.run_id = by_dimension.run_id
            and judged.artifact_key = by_dimension.artifact_key
            and judged.is_wall = by_dimension.is_wall
    where judged.is_slow
    group by all
),

waited as (
    select
        judged.run_id,
        judged.slo,
        by_dimension.dimension,
        by_dimension.segment,
        sum(by_dimension.step_ms * judged.part_counted) as waited_ms,
        count(*) as waits,
    from judged
    inner join by_dimension
        on
            judged.run_id = by_dimension.run_id
            and judged.artifact_key = by_dimension.artifact_key
            and judged.is_wall = by_dimension.is_wall
    where by_dimension.dimension = 'resolver'
    group by all
),

bases as (
    select
        run_id,
        slo,
        count(*) as artifacts,
    from judged
    group by run_id, slo
),

counted as (
    select
        run_id,
        slo,
        dimension,
        'share' as kind,
        segment,
        slow_artifacts as numerator,
        slow_artifacts as denominator,
    from blamed
    union all
    -- so that a run without slow artifacts has a zero to compare with
    select
        run_id,
        slo,
        unnest(['resolver', 'host', 'outcome']) as dimension,
        'share' as kind,
        null as segment,
        0 as numerator,
        0 as denominator,
    from bases
    union all
    select
        run_id,
        slo || '_mean' as slo,
        dimension,
        'ratio' as kind,
        segment,
        waited_ms as numerator,
        waits as denominator,
    from waited
    union all
    -- nor is it unknown how long was waited where nobody had to wait
    select
        run_id,
        slo || '_mean' as slo,
        'resolver' as dimension,
        'ratio' as kind,
        null as segment,
        0 as numerator,
        0 as denominator,
    from bases
    union all
    select
        run_id,
        slo,
        'delivered_by' as dimension,
        'ratio' as kind,
        resolver as segment,
        count(*) filter (is_slow) as numerator,
        count(*) as denominator,
    from judged
    group by run_id, slo, resolver
),

final as (
    select
        counted.run_id,
        counted.slo,
        'run' as scope,
        null::varchar as subject,
        counted.dimension,
        counted.kind,
        'all' as route,
        counted.segment,
        counted.numerator::double as numerator,
        counted.denominator::double as denominator,
        bases.artifacts::double as base,
    from counted
    inner join bases
        on
            counted.run_id = bases.run_id
            and regexp_replace(counted.slo, '_mean$', '') = bases.slo
)

select * from final
