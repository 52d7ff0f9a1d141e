{{ config(
    materialized='incremental',
    incremental_strategy='append',
    meta={'stored_when_direct': false},
) }}

with rejected as (

    select * from {{ ref('stg_rejected_rows') }}
    {% if is_incremental() %}
    where load_id > (select coalesce(max(load_id), 0) from {{ this }})
    {% endif %}

),

final as (

    select
        table_name,
        recorded_id,
        run_id,
        reason,
        raw_values,
        file_id,
        load_id,
    from rejected

)

select * from final
