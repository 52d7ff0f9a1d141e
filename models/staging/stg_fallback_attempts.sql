with attempts as (

    select
        raw_attempts.*,
        {{ unix_seconds('raw_attempts.ts', 'raw_attempts.ts_text') }} as seconds,
    from {{ source('raw', 'fallback_attempts') }} as raw_attempts

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
        {{ non_blank('tier') }} as tier,
        {{ resolver_name('source', 'resolver_name', 'metadata') }} as resolver,
        {{ host_name('host') }} as host,
        {{ lower_word('outcome') }} as outcome,
        {{ non_blank('reason') }} as reason,
        status,
        elapsed_ms,
        file_id,
        load_id,
    from attempts
    where ({{ row_defect('seconds') }}) is null

)

select * from final
