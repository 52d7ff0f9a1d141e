with events as (
    select * from {{ ref('stg_http_events') }}
),

counted as (
    select
        run_id,
        host,
        role,
        case
            when not is_network then 'cache'
            when coalesce(is_revalidated, false) then 'revalidated'
            when status is null and lacks_status is not true then 'exception'
            else 'network'
        end as answer,
        status,
        if(status is null, error, null) as error,
        sum(sample_weight) as requests,
        median(retry_after_s) as retry_after_p50_s,
        max(retry_count) as most_retries,
        median(elapsed_ms) as elapsed_p50_ms,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
    from events
    group by all
),

final as (
    select * from counted
    qualify row_number() over (
        partition by run_id, host
        order by requests desc, role asc, answer asc, status asc, error asc
    ) <= {{ var('diagnosis_kept_rows') }}
)

select * from final
