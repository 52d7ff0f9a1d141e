{{ config(meta={'stored_when_direct': true}) }}

{%- set tables = [
    'http_events', 'rate_events', 'breaker_transitions', 'fallback_attempts', 'downloads',
] -%}

with final as (
    {%- for table in tables %}
    select
        '{{ table }}' as table_name,
        run_id,
        file_id,
        id,
        {{ unix_seconds('ts', 'ts_text') }} as seconds,
        coalesce(ts_text, ts::varchar, {{ misfit('ts') }}) as recorded,
        ts_text is not null as is_text,
    from {{ source('raw', table) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select * from final
