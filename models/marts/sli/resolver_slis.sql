with artifacts as (

    select * from {{ ref('int_artifact_slis') }}
    where grain = 'resolver'

),

ttfp as (

    select * from {{ ref('int_ttfp_slis') }}
    where grain = 'resolver'

),

final as (

    select
        coalesce(artifacts.run_id, ttfp.run_id) as run_id,
        coalesce(artifacts.resolver, ttfp.resolver) as resolver,
        artifacts.yield_pct,
        ttfp.ttfp_p50_ms,
        ttfp.ttfp_p95_ms,
        ttfp.ttfp_p99_ms,
        ttfp.ttfp_wall_p50_ms,
        ttfp.ttfp_wall_p95_ms,
        coalesce(artifacts.artifacts, 0) as artifacts,
        if(artifacts.run_id is null, 0, artifacts.artifacts_success) as artifacts_success,
        coalesce(ttfp.ttfp_artifacts, 0) as ttfp_artifacts,
    from artifacts
    full join ttfp on artifacts.run_id = ttfp.run_id and artifacts.resolver = ttfp.resolver

)

select * from final
