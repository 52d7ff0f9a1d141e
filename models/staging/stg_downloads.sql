with downloads as (
    select
        raw_downloads.*,
        {{ unix_seconds('raw_downloads.ts', 'raw_downloads.ts_text') }} as seconds,
    from {{ source('raw', 'downloads') }} as raw_downloads
),

source_files as (
    select
        file_id,
        -- NULL for files that an earlier release loaded: taken as having the column
        coalesce(has_sha256, true) as file_has_sha256,
        has_final_path,
        has_content_length,
        has_dedupe_action,
    from {{ source('raw', 'source_files') }}
),

final as (
    select
        downloads.run_id,
        downloads.id as download_id,
        downloads.seconds as ts,
        {{ utc_timestamp('downloads.seconds') }} as occurred_at,
        {{ non_blank('downloads.work_id') }} as work_id,
        {{ non_blank('downloads.artifact_id') }} as artifact_id,
        coalesce({{ resolver_name('source', 'resolver_name', 'metadata') }}, 'unknown') as resolver,
        -- a row that names no artifact is an artifact of its own; two workers' files may give out
        -- the same id
        coalesce(
            'id:' || {{ non_blank('downloads.artifact_id') }},
            'row:' || concat_ws(' ', downloads.id, {{ non_blank('downloads.work_id') }}, seconds)
        ) as artifact_key,
        nullif(downloads.sha256, '') is not null as has_sha256,
        nullif(downloads.final_path, '') is not null as has_path,
        case
            when source_files.file_has_sha256
                then has_sha256 and (has_path or not source_files.has_final_path)
        end as is_success,
        case
            when source_files.file_has_sha256 and source_files.has_final_path
                then has_sha256 <> has_path
        end as is_half_done,
        source_files.has_content_length and source_files.has_dedupe_action as file_has_dedupe,
        downloads.content_length,
        {{ lower_word('downloads.dedupe_action') }} as dedupe_action,
        downloads.elapsed_ms,
        downloads.file_id,
        downloads.load_id,
    from downloads
    left join source_files on downloads.file_id = source_files.file_id
    where ({{ row_defect() }}) is null and {{ is_counted('downloads', 'downloads') }}
)

select * from final
