{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='load_id',
    meta={'stored_when_direct': false},
) }}

with rejected as (

    select * from {{ ref('stg_rejected_rows') }}
    {% if is_incremental() %}
    where load_id in (select load_id from {{ source('session', 'touched_loads') }})
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
