with events as (
    select
        raw_events.*,
        {{ unix_seconds('raw_events.ts', 'raw_events.ts_text') }} as seconds,
    from {{ source('raw', 'http_events') }} as raw_events
),

source_files as (
    select
        file_id,
        has_status,
        has_from_cache,
    from {{ source('raw', 'source_files') }}
),

final as (
    select
        run_id,
        id as event_id,
        seconds as ts,
        {{ utc_timestamp('seconds') }} as occurred_at,
        coalesce({{ host_name('host') }}, 'unknown') as host,
        coalesce({{ lower_word('role') }}, 'unknown') as role,
        {{ non_blank('method') }} as method,
        status,
        url_hash,
        from_cache = 1 as is_from_cache,
        coalesce(from_cache, 0) <> 1 as is_network,
        revalidated = 1 as is_revalidated,
        stale = 1 as is_stale,
        retry_count,
        retry_after_s,
        rate_delay_ms,
        case
            when sample_weight > 0 and sample_weight <= {{ var('sample_weight_max') }}
                then sample_weight
            else 1
        end as sample_weight,
        {{ breaker_state('breaker_state') }} as breaker_state,
        {{ lower_word('breaker_recorded') }} as breaker_recorded,
        elapsed_ms,
        {{ non_blank('error') }} as error,
        -- NULL for files that an earlier release loaded: taken as having the column
        not coalesce(source_files.has_status, true) as lacks_status,
        not coalesce(source_files.has_from_cache, true) as lacks_from_cache,
        events.file_id,
        load_id,
    from events
    left join source_files on events.file_id = source_files.file_id
    where ({{ row_defect('seconds') }}) is null
)

select * from final
