with runs as (

    select * from {{ ref('int_runs') }}

),

artifacts as (

    select * from {{ ref('int_artifact_slis') }}
    where grain = 'run'

),

ttfp as (

    select * from {{ ref('int_ttfp_slis') }}
    where grain = 'run'

),

requests as (

    select * from {{ ref('int_request_slis') }}
    where grain = 'run'

),

metadata_delays as (

    select * from {{ ref('int_delay_slis') }}
    where
        grain = 'role'
        and role = 'metadata'

),

breakers as (

    select * from {{ ref('int_breaker_slis') }}
    where grain = 'run'

),

final as (

    select
        runs.run_id,
        artifacts.yield_pct,
        ttfp.ttfp_p50_ms,
        ttfp.ttfp_p95_ms,
        ttfp.ttfp_p99_ms,
        ttfp.ttfp_wall_p50_ms,
        ttfp.ttfp_wall_p95_ms,
        requests.cache_hit_pct,
        requests.http_429_pct,
        metadata_delays.rate_delay_p95_ms,
        -- the table is there and says nothing of this run: no opening, which is not "no data"
        case when runs.has_breaker_transitions then coalesce(breakers.breaker_opens, 0) end
            as breaker_opens,
        case when runs.has_breaker_transitions then coalesce(breakers.breaker_opens_per_hour, 0) end
            as breaker_opens_per_hour,
        artifacts.dedupe_saved_mb,
        artifacts.corruption_count,
        coalesce(artifacts.artifacts, 0) as artifacts,
        if(artifacts.run_id is null, 0, artifacts.artifacts_success) as artifacts_success,
        coalesce(ttfp.ttfp_artifacts, 0) as ttfp_artifacts,
        coalesce(requests.requests, 0) as requests,
        coalesce(requests.network_requests, 0) as network_requests,
        coalesce(requests.metadata_requests, 0) as metadata_requests,
        coalesce(metadata_delays.delayed_requests, 0) as delayed_requests,
        coalesce(breakers.breaker_transitions, 0) as breaker_transitions,
    from runs
    left join artifacts on runs.run_id = artifacts.run_id
    left join ttfp on runs.run_id = ttfp.run_id
    left join requests on runs.run_id = requests.run_id
    left join metadata_delays on runs.run_id = metadata_delays.run_id
    left join breakers on runs.run_id = breakers.run_id

)

select * from final
