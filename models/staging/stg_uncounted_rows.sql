{{ config(materialized='incremental') }}

{#- the time of each table that several tables of a file can tell of; rows without one are rejected
    where they need it -#}
{%- set tables = {
    'breaker_transitions': unix_seconds('ts', 'ts_text'),
    'fallback_attempts': unix_seconds('ts', 'ts_text'),
    'downloads': unix_seconds('ts', 'ts_text'),
    'run_summary': unix_seconds('finished_at', 'finished_at_text'),
} -%}
{%- set timed = ['breaker_transitions', 'fallback_attempts'] -%}

with source_files as (
    select * from {{ source('raw', 'source_files') }}
),

-- files that hold tables of the crawler's own, whose runs may be told of by several tables; most
-- warehouses have none, and then only the ends of runs are read here
crawler_files as (
    select file_id
    from source_files
    where family > 0
),

recorded as (
    {% for table, seconds in tables.items() -%}
    select
        '{{ table }}' as table_name,
        rows_of_table.run_id,
        rows_of_table.id as recorded_id,
        {{ seconds }} as seconds,
        coalesce(source_files.family, 0) as family,
        {%- if table == 'downloads' %}
        {{ non_blank('work_id') }} as work_id,
        case
            when family = 0 then null
            when dry_run = 1 then 'dry run'
            when {{ lower_word('classification') }} = 'skipped' then 'skipped'
            when {{ lower_word('reason') }} = 'list_only' then 'listed only'
        end as no_attempt,
        {%- else %}
        null as work_id,
        null as no_attempt,
        {%- endif %}
        rows_of_table.file_id,
        rows_of_table.load_id,
    from {{ source('raw', table) }} as rows_of_table
    left join source_files on rows_of_table.file_id = source_files.file_id
    where
        {%- if is_built_by_runs() == 'true' %}
        {{ touched() }} and
        {%- endif %}
        ({{ row_defect(seconds if table in timed else none) }}) is null
        {%- if table != 'run_summary' %}
        and rows_of_table.run_id in (
            select of_crawlers.run_id
            from {{ source('raw', table) }} as of_crawlers
            inner join crawler_files on of_crawlers.file_id = crawler_files.file_id
        )
        {%- endif %}
    {%- if not loop.last %}
    union all
    {% endif %}
    {%- endfor %}
),

-- of a run that several tables tell of, those of the lowest family count
compared as (
    select
        *,
        family > min(family) over (partition by table_name, run_id) as is_replaced,
    from recorded
),

-- what the crawler says last of a work replaces what it said before; so does the last end of a run,
-- as each of its workers may write one
placed as (
    select
        *,
        row_number() over (
            partition by table_name, run_id, is_replaced, work_id, no_attempt is null
            order by seconds desc nulls last, recorded_id desc, file_id desc
        ) as place_from_last,
    from compared
),

final as (
    select
        table_name,
        run_id,
        recorded_id,
        case
            when is_replaced then 'another table tells of the run'
            when no_attempt is not null then no_attempt
            when place_from_last = 1 then null
            when table_name = 'run_summary' then 'another row tells of a later end'
            when family > 0 and work_id is not null then 'a later row tells of the work'
        end as reason,
        {{ utc_timestamp('seconds') }} as occurred_at,
        file_id,
        load_id,
    from placed
    where reason is not null
)

select * from final
