-- Guards the promise that for every table rows in the source = rows loaded + rows rejected: a row
-- that staging drops without a reason, or counts twice. Returns the table and the run, NULL for rows
-- without one, with their counts.
{%- set tables = [
    'http_events', 'rate_events', 'breaker_transitions', 'fallback_attempts', 'downloads',
    'run_summary', 'recorder_status',
] %}
{%- set parts = [] %}
{%- for table in tables %}
    {%- do parts.append((table, source('raw', table), 'raw')) %}
    {%- do parts.append((table, ref('stg_' ~ table), 'staged')) %}
{%- endfor %}
{%- set audited_rows = audited() %}

with rejected as (
    select * from {{ ref('rejected_rows') }}
),

uncounted as (
    select * from {{ ref('stg_uncounted_rows') }}
),

seen as (
    {%- for table, relation, stage in parts %}
    select
        '{{ table }}' as table_name,
        run_id,
        '{{ stage }}' as stage,
    from {{ relation }}
    where {{ audited_rows }}
    union all
    {%- endfor %}
    select
        table_name,
        run_id,
        'rejected' as stage,
    from rejected
    where {{ audited_rows }}
    union all
    select
        table_name,
        run_id,
        'uncounted' as stage,
    from uncounted
    where {{ audited_rows }}
)

select
    table_name,
    run_id,
    count(*) filter (stage = 'raw') as raw_rows,
    count(*) filter (stage = 'staged') as staged_rows,
    count(*) filter (stage = 'rejected') as rejected_rows,
    count(*) filter (stage = 'uncounted') as uncounted_rows,
from seen
group by table_name, run_id
having raw_rows <> staged_rows + rejected_rows + uncounted_rows
