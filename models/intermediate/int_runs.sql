{{ config(materialized='incremental') }}

{%- set counted = {
    'http_events': 'stg_http_events',
    'rate_events': 'stg_rate_events',
    'breaker_transitions': 'stg_breaker_transitions',
    'fallback_attempts': 'stg_fallback_attempts',
    'downloads': 'stg_downloads',
} -%}

with

{% for table, model in counted.items() -%}
{{ table }} as (

    select
        run_id,
        '{{ table }}' as table_name,
        count(*) as rows_loaded,
        min(occurred_at) as first_event_at,
        max(occurred_at) as last_event_at,
        min(file_id) as file_id,
    from {{ ref(model) }}
    {{ where_touched() }}
    group by run_id

),

{% endfor -%}
summaries as (

    select
        run_id,
        max(started_at) as started_at,
        max(finished_at) as finished_at,
        min(file_id) as file_id,
    from {{ ref('stg_run_summary') }}
    {{ where_touched() }}
    group by run_id

),

source_files as (

    select
        file_id,
        path,
        has_breaker_transitions,
    from {{ source('raw', 'source_files') }}

),

activity as (
    {% for table in counted %}
    select * from {{ table }}
    union all
    {%- endfor %}
    select
        run_id,
        'run_summary' as table_name,
        1 as rows_loaded,
        null as first_event_at,
        null as last_event_at,
        file_id,
    from summaries

),

runs as (

    select
        run_id,
        min(first_event_at) as first_event_at,
        max(last_event_at) as last_event_at,
        min(file_id) as file_id,
        {%- for table in counted %}
        coalesce(sum(rows_loaded) filter (table_name = '{{ table }}'), 0)::bigint as {{ table }},
        {%- endfor %}
    from activity
    group by run_id

),

final as (

    select
        runs.run_id,
        coalesce(summaries.started_at, runs.first_event_at) as started_at,
        summaries.finished_at,
        runs.first_event_at,
        runs.last_event_at,
        epoch(
            coalesce(summaries.finished_at, runs.last_event_at)
            - coalesce(summaries.started_at, runs.first_event_at)
        ) as length_s,
        summaries.finished_at is not null as is_finished,
        {%- for table in counted %}
        runs.{{ table }},
        {%- endfor %}
        coalesce(source_files.has_breaker_transitions, false) as has_breaker_transitions,
        source_files.path as source_path,
    from runs
    left join summaries on runs.run_id = summaries.run_id
    left join source_files on runs.file_id = source_files.file_id

)

select * from final
