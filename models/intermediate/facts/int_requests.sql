{{ config(meta={'stored_when_direct': true}) }}

with events as (
    select * from {{ ref('stg_http_events') }}
),

final as (
    select
        run_id,
        event_id,
        occurred_at,
        cast(occurred_at as date) as day,
        host,
        role,
        sample_weight,
        status,
        -- a request counts only if its file has the column that judges it
        is_network and lacks_status is not true as is_network,
        role = 'metadata' and lacks_from_cache is not true as is_metadata,
        coalesce(is_from_cache, false) as is_cache_hit,
        is_network and coalesce(status = 429, false) as is_429,
        is_network and coalesce(status between 500 and 599, false) as is_5xx,
        is_network and status is null and lacks_status is not true as is_exception,
        coalesce(retry_count, 0) as retries,
        rate_delay_ms,
        case when is_network then elapsed_ms end as network_elapsed_ms,
    from events
)

select * from final
