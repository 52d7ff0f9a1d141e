with downloads as (
    select
        *,
        case
            when file_has_dedupe and dedupe_action in ('hardlink', 'copy', 'skipped')
                then coalesce(content_length, 0)
            when file_has_dedupe then 0
        end as saved_bytes,
    from {{ ref('stg_downloads') }}
),

runs as (
    select
        run_id,
        first_event_at,
    from {{ ref('int_runs') }}
),

artifacts as (
    select
        run_id,
        artifact_key,
        bool_or(is_success) as is_success,
        bool_or(is_half_done) as is_corrupt,
        min(occurred_at) as first_download_at,
        -- the resolver that delivered; for a failed artifact the last one that was tried
        coalesce(
            first(resolver order by download_id, file_id) filter (is_success),
            last(resolver order by download_id, file_id)
        ) as resolver,
        sum(content_length) as bytes,
        sum(saved_bytes) as saved_bytes,
        count(*) as download_rows,
    from downloads
    group by all
),

final as (
    select
        artifacts.run_id,
        artifacts.artifact_key,
        artifacts.is_success,
        artifacts.is_corrupt,
        artifacts.resolver,
        coalesce(artifacts.first_download_at, runs.first_event_at) as first_download_at,
        cast(coalesce(artifacts.first_download_at, runs.first_event_at) as date) as day,
        artifacts.bytes,
        artifacts.saved_bytes,
        artifacts.download_rows,
    from artifacts
    left join runs on artifacts.run_id = runs.run_id
)

select * from final
