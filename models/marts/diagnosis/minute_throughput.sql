{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

with

{% if is_incremental() %}
touched_runs as (

    select run_id from {{ source('session', 'touched_runs') }}

),
{% endif %}

downloads as (

    select * from {{ ref('stg_downloads') }} as all_downloads
    where
        occurred_at is not null
        {% if is_incremental() %}
        and all_downloads.run_id in (select run_id from touched_runs)
        {% endif %}

),

final as (

    select
        run_id,
        date_trunc('minute', occurred_at) as minute_at,
        count(distinct coalesce('id:' || artifact_id, 'row:' || download_id)) as artifacts,
        count(distinct coalesce('id:' || artifact_id, 'row:' || download_id)) filter (
            has_sha256 and (has_path or not file_has_final_path)
        ) as artifacts_success,
        coalesce(sum(content_length), 0)::double as bytes,
    from downloads
    group by all

)

select * from final
