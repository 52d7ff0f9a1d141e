with solved as (
    select * from {{ ref('int_artifact_ttfp') }}
),

-- an artifact counts once for a resolver, however often that was tried
tried as (
    select
        run_id,
        artifact_key,
        coalesce(resolver, 'unknown') as resolver,
        min(ts) as first_ts,
        count(*) as attempts,
    from {{ ref('stg_fallback_attempts') }}
    where artifact_key is not null and outcome is distinct from 'skipped'
    group by all
),

placed as (
    select
        *,
        row_number() over (partition by run_id, artifact_key order by first_ts, resolver) as step,
    from tried
),

counted as (
    select
        placed.run_id,
        placed.resolver,
        avg(placed.step) as mean_step,
        count(*) as artifacts_tried,
        count(*) filter (placed.resolver = solved.resolver) as artifacts_found,
        sum(placed.attempts)::bigint as attempts,
    from placed
    left join solved
        on placed.run_id = solved.run_id and placed.artifact_key = solved.artifact_key
    group by placed.run_id, placed.resolver
),

final as (
    select
        run_id,
        row_number() over (partition by run_id order by mean_step, resolver) as place,
        resolver,
        artifacts_tried,
        artifacts_found,
        artifacts_tried - artifacts_found as artifacts_not_found,
        attempts,
        {{ percentage('artifacts_found', 'artifacts_tried') }} as found_pct,
    from counted
)

select * from final
