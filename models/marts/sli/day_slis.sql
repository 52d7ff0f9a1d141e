with artifacts as (

    select * from {{ ref('int_artifact_slis') }}
    where grain = 'day'

),

ttfp as (

    select * from {{ ref('int_ttfp_slis') }}
    where grain = 'day'

),

requests as (

    select * from {{ ref('int_request_slis') }}
    where grain = 'day'

),

days as (

    select
        run_id,
        day
    from artifacts
    union
    select
        run_id,
        day
    from ttfp
    union
    select
        run_id,
        day
    from requests

),

final as (

    select
        days.run_id,
        days.day,
        artifacts.yield_pct,
        ttfp.ttfp_p50_ms,
        ttfp.ttfp_p95_ms,
        ttfp.ttfp_p99_ms,
        ttfp.ttfp_wall_p50_ms,
        ttfp.ttfp_wall_p95_ms,
        requests.cache_hit_pct,
        requests.http_429_pct,
        coalesce(artifacts.artifacts, 0) as artifacts,
        if(artifacts.run_id is null, 0, artifacts.artifacts_success) as artifacts_success,
        coalesce(ttfp.ttfp_artifacts, 0) as ttfp_artifacts,
        coalesce(requests.requests, 0) as requests,
        coalesce(requests.network_requests, 0) as network_requests,
        coalesce(requests.metadata_requests, 0) as metadata_requests,
    from days
    -- a run without a single usable time has its artifacts on the day NULL
    left join artifacts
        on days.run_id = artifacts.run_id and days.day is not distinct from artifacts.day
    left join ttfp
        on days.run_id = ttfp.run_id and days.day is not distinct from ttfp.day
    left join requests
        on days.run_id = requests.run_id and days.day is not distinct from requests.day

)

select * from final
