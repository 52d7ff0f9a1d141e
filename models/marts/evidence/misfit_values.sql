{{ config(materialized='incremental', meta={'stored_when_direct': false}) }}

{#- per table the times that a row may lack; a row without one of the others is rejected -#}
{%- set optional_times = {
    'http_events': [],
    'rate_events': [],
    'breaker_transitions': [],
    'fallback_attempts': [],
    'downloads': ['ts'],
    'run_summary': ['started_at', 'finished_at'],
    'recorder_status': ['started_at', 'updated_at'],
} -%}

with
{%- for table in optional_times %}

{{ table }} as (
    select * from {{ source('raw', table) }}
    {{ where_touched() }}
),
{%- endfor %}

row_counts as (
    {%- for table in optional_times %}
    select
        '{{ table }}' as table_name,
        run_id,
        count(*) as row_count,
    from {{ table }}
    where run_id is not null
    group by run_id
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

misfits as (
    {%- for table in optional_times %}
    select
        '{{ table }}' as table_name,
        run_id,
        unnest(from_json(misfits, '[{"column": "varchar", "value": "varchar"}]')) as misfit,
    from {{ table }}
    where run_id is not null and misfits is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

recorded_times as (
    {%- for table, columns in optional_times.items() %}
    {%- set of_table = loop %}
    {%- for name in columns %}
    select
        '{{ table }}' as table_name,
        run_id,
        '{{ name }}' as column_name,
        coalesce({{ name }}_text, {{ name }}::varchar) as recorded,
        {{ unix_seconds(name, name ~ '_text') }} as seconds,
    from {{ table }}
    where run_id is not null
    {%- if not (loop.last and of_table.last) %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- endfor %}
),

found as (
    select
        table_name,
        run_id,
        misfit['column'] as column_name,
        misfit['value'] as recorded,
    from misfits
    -- without them the row is rejected, and counts there
    where column_name <> 'run_id' and (column_name <> 'ts' or table_name = 'downloads')
    union all
    select
        table_name,
        run_id,
        column_name,
        recorded,
    from recorded_times
    where recorded is not null and seconds is null
),

final as (
    select
        found.run_id,
        found.table_name,
        found.column_name,
        count(*) as misfits,
        any_value(row_counts.row_count) as row_count,
        100.0 * count(*) / any_value(row_counts.row_count) as misfit_pct,
        misfit_pct >= {{ var('misfit_notable_pct') }} as is_notable,
        min(found.recorded) as example,
    from found
    inner join row_counts
        on found.run_id = row_counts.run_id and found.table_name = row_counts.table_name
    group by found.run_id, found.table_name, found.column_name
)

select * from final
