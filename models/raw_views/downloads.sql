with final as (
    select
        id,
        run_id,
        {{ unix_seconds('ts', 'ts_text') }} as ts,
        work_id,
        artifact_id,
        source,
        resolver_name,
        sha256,
        final_path,
        content_type,
        content_length,
        dedupe_action,
        elapsed_ms,
        metadata,
        classification,
        reason,
        dry_run,
        file_id,
    from {{ source('raw', 'downloads') }}
)

select * from final
