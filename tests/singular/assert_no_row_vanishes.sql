-- Guards the promise that for every table rows in the source = rows loaded + rows rejected: a row
-- that staging drops without a reason, or counts twice. Looks at the runs of this build and at the
-- rows without a run. Returns the table and which of its rows, with their counts.
{%- set tables = [
    'http_events', 'rate_events', 'breaker_transitions', 'fallback_attempts', 'downloads',
    'run_summary', 'recorder_status',
] %}

with touched_runs as (

    select run_id from {{ source('session', 'touched_runs') }}

),

rejected as (

    select
        table_name,
        run_id,
    from {{ ref('rejected_rows') }}

),

uncounted as (

    select
        table_name,
        run_id,
    from {{ ref('stg_uncounted_rows') }}

),

{% for table in tables %}
raw_{{ table }} as (

    select run_id from {{ source('raw', table) }}

),

staged_{{ table }} as (

    select run_id from {{ ref('stg_' ~ table) }}

),

{% endfor %}
counted as (
    {% for table in tables %}
    {%- for rows in ['run_id in (select run_id from touched_runs)', 'run_id is null'] %}
    select
        '{{ table }}' as table_name,
        '{{ rows }}' as which_rows,
        (select count(*) from raw_{{ table }} where {{ rows }}) as raw_rows,
        (select count(*) from staged_{{ table }} where {{ rows }}) as staged_rows,
        (
            select count(*) from rejected
            where table_name = '{{ table }}' and {{ rows }}
        ) as rejected_rows,
        (
            select count(*) from uncounted
            where table_name = '{{ table }}' and {{ rows }}
        ) as uncounted_rows,
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {% endfor %}
)

select *
from counted
where raw_rows <> staged_rows + rejected_rows + uncounted_rows
