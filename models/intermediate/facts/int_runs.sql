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
        file_id,
    from {{ ref(model) }}
    {{ where_touched() }}
    group by run_id, file_id
),

{% endfor -%}
-- rows that count nowhere else are rows of the run all the same
uncounted as (
    select
        run_id,
        table_name,
        count(*) as rows_loaded,
        min(occurred_at) as first_event_at,
        max(occurred_at) as last_event_at,
        file_id,
    from {{ ref('stg_uncounted_rows') }}
    {{ where_touched() }}
    group by all
),

summaries as (
    select
        run_id,
        started_at,
        finished_at,
        file_id,
    from {{ ref('stg_run_summary') }}
    {{ where_touched() }}
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
    select * from uncounted
    union all
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
        activity.run_id,
        min(activity.first_event_at) as first_event_at,
        max(activity.last_event_at) as last_event_at,
        -- a run may be in several files, one a worker
        coalesce(bool_or(source_files.has_breaker_transitions), false) as has_breaker_transitions,
        min(source_files.path) as source_path,
        {%- for table in counted %}
        coalesce(sum(rows_loaded) filter (table_name = '{{ table }}'), 0)::bigint as {{ table }},
        {%- endfor %}
    from activity
    left join source_files on activity.file_id = source_files.file_id
    group by activity.run_id
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
        runs.has_breaker_transitions,
        runs.source_path,
    from runs
    left join summaries on runs.run_id = summaries.run_id
)

select * from final
