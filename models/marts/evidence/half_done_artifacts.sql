with downloads as (
    select * from {{ ref('stg_downloads') }}
),

artifacts as (
    select
        run_id,
        artifact_key,
        resolver,
    from {{ ref('int_artifacts') }}
),

attempts as (
    select
        run_id,
        'id:' || artifact_id as artifact_key,
        resolver,
        host,
        ts,
        attempt_id,
        file_id,
    from {{ ref('stg_fallback_attempts') }}
),

-- a later row that is whole does not heal the artifact; of several the last tells
half_done as (
    select
        run_id,
        artifact_key,
        last(
            coalesce(artifact_id, work_id, replace(artifact_key, ':', ' '))
            order by download_id, file_id
        ) as artifact,
        last(if(has_sha256, 'file', 'checksum') order by download_id, file_id) as missing,
        last(dedupe_action order by download_id, file_id) as dedupe_action,
        last(occurred_at order by download_id, file_id) as occurred_at,
    from downloads
    where is_half_done
    group by run_id, artifact_key
),

named as (
    select
        half_done.*,
        artifacts.resolver,
    from half_done
    inner join artifacts
        on
            half_done.run_id = artifacts.run_id
            and half_done.artifact_key = artifacts.artifact_key
),

hosts as (
    select
        named.run_id,
        named.artifact_key,
        last(attempts.host order by attempts.ts, attempts.attempt_id, attempts.file_id) as host,
    from named
    inner join attempts
        on
            named.run_id = attempts.run_id
            and named.artifact_key = attempts.artifact_key
            and named.resolver = attempts.resolver
    group by named.run_id, named.artifact_key
),

final as (
    select
        named.run_id,
        named.artifact_key,
        named.artifact,
        named.missing,
        named.resolver,
        hosts.host,
        named.dedupe_action,
        named.occurred_at,
    from named
    left join hosts
        on
            named.run_id = hosts.run_id
            and named.artifact_key = hosts.artifact_key
)

select * from final
