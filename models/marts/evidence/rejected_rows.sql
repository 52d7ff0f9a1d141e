{{ config(materialized='incremental', meta={'stored_when_direct': false}) }}

with rejected as (
    select * from {{ ref('stg_rejected_rows') }}
    {% if is_built_by_runs() == 'true' %}
    where run_id is null or {{ touched() }}
    {% endif %}
),

final as (
    select
        table_name,
        recorded_id,
        run_id,
        reason,
        recorded,
        raw_values,
        file_id,
        load_id,
    from rejected
)

select * from final
