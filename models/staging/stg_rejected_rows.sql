{%- set timed = ['http_events', 'rate_events', 'breaker_transitions', 'fallback_attempts'] -%}
{%- set untimed = ['downloads', 'run_summary', 'recorder_status'] -%}

with
{%- for table in timed + untimed %}
{%- set seconds = unix_seconds('ts', 'ts_text') if table in timed else none %}

{{ table }} as (
    select
        '{{ table }}' as table_name,
        id as recorded_id,
        run_id,
        {{ row_defect(seconds) }} as reason,
        case reason
            when 'no usable run_id' then coalesce(run_id, {{ misfit('run_id') }})
            {%- if table in timed %}
            when 'no usable time' then coalesce(ts_text, ts::varchar, {{ misfit('ts') }})
            {%- endif %}
        end as recorded,
        to_json(raw_rows)::varchar as raw_values,
        file_id,
        load_id,
    from {{ source('raw', table) }} as raw_rows
    where {{ row_defect(seconds) }} is not null
),
{%- endfor %}

final as (
    {% for table in timed + untimed %}
    select * from {{ table }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select * from final
