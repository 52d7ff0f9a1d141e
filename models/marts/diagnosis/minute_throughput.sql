{{ config(materialized='incremental') }}

with downloads as (

    select * from {{ ref('stg_downloads') }}
    {{ where_touched() }}

),

final as (

    select
        run_id,
        date_trunc('minute', occurred_at) as minute_at,
        count(distinct artifact_key) as artifacts,
        count(distinct artifact_key) filter (is_success) as artifacts_success,
        -- clients write -1 where they do not know the length
        sum(greatest(content_length, 0))::double as bytes,
    from downloads
    where occurred_at is not null
    group by all

)

select * from final
