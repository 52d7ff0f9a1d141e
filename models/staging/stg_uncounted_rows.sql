{{ config(meta={'stored_when_direct': true}) }}

{%- set tables = {
    'breaker_transitions': unix_seconds('ts', 'ts_text'),
    'fallback_attempts': unix_seconds('ts', 'ts_text'),
    'downloads': unix_seconds('ts', 'ts_text'),
    'run_summary': unix_seconds('finished_at', 'finished_at_text'),
} -%}
{%- set timed = ['breaker_transitions', 'fallback_attempts'] -%}

with source_files as (
    select
        file_id,
        family,
    from {{ source('raw', 'source_files') }}
),

-- files that hold tables of the crawler's own; most warehouses have none, and then none of the
-- raw relations is read here
crawler_files as (
    select
        file_id,
        family,
    from source_files
    where family > 0
),

{% for table, seconds in tables.items() -%}
crawler_{{ table }} as (

    select
        rows_of_table.*,
        crawler_files.family,
        {{ seconds }} as seconds,
    from {{ source('raw', table) }} as rows_of_table
    inner join crawler_files on rows_of_table.file_id = crawler_files.file_id
    where ({{ row_defect(seconds if table in timed else none) }}) is null
),

-- of a run that several tables tell of, those of the lowest family count
first_families_{{ table }} as (

    select
        rows_of_table.run_id,
        min(coalesce(source_files.family, 0)) as family,
    from {{ source('raw', table) }} as rows_of_table
    left join source_files on rows_of_table.file_id = source_files.file_id
    where
        ({{ row_defect(seconds if table in timed else none) }}) is null
        and rows_of_table.run_id in (select crawler_{{ table }}.run_id from crawler_{{ table }})
    group by all
),

replaced_{{ table }} as (

    select
        '{{ table }}' as table_name,
        crawler_{{ table }}.run_id,
        crawler_{{ table }}.id as recorded_id,
        'another table tells of the run' as reason,
        crawler_{{ table }}.seconds,
        crawler_{{ table }}.file_id,
        crawler_{{ table }}.load_id,
    from crawler_{{ table }}
    inner join first_families_{{ table }} as first_families
        on crawler_{{ table }}.run_id = first_families.run_id
    where crawler_{{ table }}.family > first_families.family
),

{% endfor -%}
no_attempts as (
    select
        *,
        case
            when dry_run = 1 then 'dry run'
            when {{ lower_word('classification') }} = 'skipped' then 'skipped'
            when {{ lower_word('reason') }} = 'list_only' then 'listed only'
        end as why,
    from crawler_downloads
),

-- what the crawler says last of a work replaces what it said before
placed as (
    select
        *,
        row_number() over (
            partition by run_id, work_id, why is null
            order by seconds desc nulls last, id desc, file_id desc
        ) as place_from_last,
    from no_attempts
),

manifest_rows as (
    select
        'downloads' as table_name,
        run_id,
        id as recorded_id,
        coalesce(why, 'a later row tells of the work') as reason,
        seconds,
        file_id,
        load_id,
    from placed
    where why is not null or ({{ non_blank('work_id') }} is not null and place_from_last > 1)
),

-- each worker of a run may write its end
ends as (
    select
        id,
        run_id,
        {{ unix_seconds('finished_at', 'finished_at_text') }} as seconds,
        file_id,
        load_id,
    from {{ source('raw', 'run_summary') }}
    where ({{ row_defect() }}) is null
),

counted_ends as (
    select
        ends.run_id,
        ends.id,
        ends.seconds,
        ends.file_id,
        ends.load_id,
    from ends
    left join replaced_run_summary as replaced
        on
            ends.run_id = replaced.run_id
            and ends.file_id = replaced.file_id
            and ends.id = replaced.recorded_id
    where replaced.run_id is null
),

placed_ends as (
    select
        *,
        row_number() over (
            partition by run_id
            order by seconds desc nulls last, id desc, file_id desc
        ) as place_from_last,
    from counted_ends
),

earlier_ends as (
    select
        'run_summary' as table_name,
        run_id,
        id as recorded_id,
        'another row tells of a later end' as reason,
        seconds,
        file_id,
        load_id,
    from placed_ends
    where place_from_last > 1
),

uncounted as (
    {% for table in tables %}
    select * from replaced_{{ table }}
    union all
    {%- endfor %}
    select * from earlier_ends
    union all
    select
        manifest_rows.table_name,
        manifest_rows.run_id,
        manifest_rows.recorded_id,
        manifest_rows.reason,
        manifest_rows.seconds,
        manifest_rows.file_id,
        manifest_rows.load_id,
    from manifest_rows
    left join replaced_downloads
        on
            manifest_rows.file_id = replaced_downloads.file_id
            and manifest_rows.recorded_id = replaced_downloads.recorded_id
    where replaced_downloads.file_id is null
),

final as (
    select
        table_name,
        run_id,
        recorded_id,
        reason,
        {{ utc_timestamp('seconds') }} as occurred_at,
        file_id,
        load_id,
    from uncounted
)

select * from final
