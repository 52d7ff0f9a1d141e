with final as (
    select
        id,
        run_id,
        {{ unix_seconds('ts', 'ts_text') }} as ts,
        work_id,
        artifact_id,
        tier,
        source,
        resolver_name,
        host,
        outcome,
        reason,
        status,
        elapsed_ms,
        metadata,
        file_id,
    from {{ source('raw', 'fallback_attempts') }}
)

select * from final
