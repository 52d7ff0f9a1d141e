with source_files as (
    select
        file_id,
        family,
    from {{ source('raw', 'source_files') }}
),

attempts as (
    select
        raw_attempts.*,
        source_files.family,
        {{ unix_seconds('raw_attempts.ts', 'raw_attempts.ts_text') }} as seconds,
    from {{ source('raw', 'fallback_attempts') }} as raw_attempts
    left join source_files on raw_attempts.file_id = source_files.file_id
),

final as (
    select
        run_id,
        id as attempt_id,
        seconds as ts,
        {{ utc_timestamp('seconds') }} as occurred_at,
        {{ non_blank('work_id') }} as work_id,
        {{ non_blank('artifact_id') }} as artifact_id,
        coalesce({{ non_blank('artifact_id') }}, {{ non_blank('work_id') }}) as artifact_key,
        coalesce({{ non_blank('tier') }}, 'unknown') as tier,
        coalesce({{ resolver_name('source', 'resolver_name', 'metadata') }}, 'unknown') as resolver,
        {{ host_name('host') }} as host,
        coalesce({{ attempt_outcome('outcome', 'reason', 'status', 'family') }}, 'unknown')
            as outcome,
        {{ non_blank('reason') }} as reason,
        status,
        elapsed_ms,
        file_id,
        load_id,
    from attempts
    where
        ({{ row_defect('seconds') }}) is null
        and {{ is_counted('fallback_attempts', 'attempts') }}
)

select * from final
