-- A percentile does not add up, but what makes it miss its target does: p95 is at most the target
-- if at most 5 % of the artifacts are slower. Each slower artifact is divided among the steps
-- between its attempts, by the time they took; a step belongs to the attempt it ends with, because
-- attempts are logged when they end. By the wall clock the first attempt is a step too. The mean
-- adds up too, by the same steps; of times cut off at the target, as a few that no percentile knows
-- of would make up most of it.
with attempts as (
    select * from {{ ref('stg_fallback_attempts') }}
    where artifact_key is not null
),

artifacts as (
    select * from {{ ref('int_artifact_ttfp') }}
    where ttfp_ms is not null
),

targets as (
    select
        slo,
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
        count(*) over (partition by artifacts.run_id, targets.slo) as base,
    from artifacts
    cross join targets
),

steps as (
    select
        run_id,
        artifact_key,
        resolver,
        coalesce(host, 'unknown') as host,
        resolver || ' ' || attempts.outcome as outcome,
        1000 * (
            ts - lag(ts) over (partition by run_id, artifact_key order by ts, attempt_id, file_id)
        ) as step_ms,
        -- only the wall clock knows how long the first attempt itself took
        coalesce(step_ms, elapsed_ms, 0) as wall_step_ms,
    from attempts
    qualify ts <= min(ts) filter (attempts.outcome = 'success') over (
        partition by run_id, artifact_key
    )
),

by_dimension as (
    from steps
    unpivot (segment for dimension in (resolver, host, outcome))
),

waits as (
    select
        judged.*,
        by_dimension.dimension,
        by_dimension.segment,
        if(judged.is_wall, by_dimension.wall_step_ms, by_dimension.step_ms) as wait_ms,
    from judged
    inner join by_dimension
        on
            judged.run_id = by_dimension.run_id
            and judged.artifact_key = by_dimension.artifact_key
    where wait_ms > 0
),

counted as (
    select
        run_id,
        slo,
        dimension,
        'share' as kind,
        segment,
        base,
        sum(wait_ms / amount_ms) as numerator,
    from waits
    where is_slow
    group by all
    union all by name
    select
        run_id,
        slo,
        '_mean' as suffix,
        dimension,
        'ratio' as kind,
        segment,
        base,
        sum(wait_ms * part_counted) as numerator,
        count(*) as denominator,
    from waits
    where dimension = 'resolver'
    group by all
    union all by name
    -- so that a run without slow artifacts, or where nobody had to wait, has a zero to compare with
    select distinct
        judged.run_id,
        judged.slo,
        zeros.*,
        judged.base,
        0 as numerator,
    from judged
    cross join (
        values
        (null, 'resolver', 'share'), (null, 'host', 'share'), (null, 'outcome', 'share'),
        ('_mean', 'resolver', 'ratio')
    ) as zeros (suffix, dimension, kind)
    union all by name
    select
        run_id,
        slo,
        'delivered_by' as dimension,
        'ratio' as kind,
        resolver as segment,
        base,
        count(*) filter (is_slow) as numerator,
        count(*) as denominator,
    from judged
    group by all
),

final as (
    select
        run_id,
        concat(slo, suffix) as slo,
        'run' as scope,
        null::varchar as subject,
        dimension,
        kind,
        'all' as route,
        segment,
        numerator::double as numerator,
        coalesce(denominator, numerator)::double as denominator,
        base::double as base,
    from counted
)

select * from final
