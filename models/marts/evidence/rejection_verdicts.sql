{%- set tables = [
    'http_events', 'rate_events', 'breaker_transitions', 'fallback_attempts', 'downloads',
    'run_summary', 'recorder_status',
] -%}

with rejected_rows as (
    select
        file_id,
        table_name,
        load_id,
        reason,
        recorded,
    from {{ ref('rejected_rows') }}
),

raw_rows as (
    {%- for table in tables %}
    select
        '{{ table }}' as table_name,
        file_id,
        load_id,
    from {{ source('raw', table) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

recorded as (
    select
        file_id,
        table_name,
        load_id,
        count(*) as row_count,
    from raw_rows
    group by grouping sets ((file_id, table_name), (file_id, load_id))
),

reasons as (
    select
        file_id,
        table_name,
        load_id,
        reason,
        count(*) as rejected,
        min(recorded) as example,
    from rejected_rows
    group by grouping sets ((file_id, table_name, reason), (file_id, load_id, reason))
),

rejected as (
    select
        file_id,
        table_name,
        load_id,
        sum(rejected)::bigint as rejected,
        list(
            struct_pack(reason := reason, rejected := rejected, example := example)
            order by rejected desc, reason asc
        ) as reasons,
    from reasons
    group by file_id, table_name, load_id
),

final as (
    select
        recorded.file_id,
        recorded.table_name,
        recorded.load_id,
        recorded.row_count,
        coalesce(rejected.rejected, 0) as rejected,
        100.0 * coalesce(rejected.rejected, 0) / recorded.row_count as rejected_pct,
        case
            when rejected_pct > {{ var('lost_rows_bad_pct') }} then 'bad'
            when rejected_pct > 0 then 'warning'
            else 'good'
        end as status,
        rejected_pct >= {{ var('mostly_rejected_pct') }} as is_mostly_rejected,
        coalesce(rejected.reasons, []) as reasons,
    from recorded
    left join rejected
        on
            recorded.file_id = rejected.file_id
            and recorded.table_name is not distinct from rejected.table_name
            and recorded.load_id is not distinct from rejected.load_id
)

select * from final
