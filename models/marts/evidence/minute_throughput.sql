with downloads as (
    select * from {{ ref('stg_downloads') }}
),

final as (
    select
        run_id,
        date_trunc('minute', occurred_at) as minute_at,
        count(distinct artifact_key) as artifacts,
        case
            when count(is_success) > 0 then count(distinct artifact_key) filter (is_success)
        end as artifacts_success,
        -- clients write -1 where they do not know the length
        sum(greatest(content_length, 0))::double as bytes,
    from downloads
    where occurred_at is not null
    group by all
)

select * from final
