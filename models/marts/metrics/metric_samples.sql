{{ config(materialized='incremental') }}

with exposed_hosts as (
    select * from {{ ref('exposed_hosts') }}
    {{ where_touched() }}
),

traffic as (
    select * from {{ ref('host_traffic') }}
    {{ where_touched() }}
),

slis_of_hosts as (
    select * from {{ ref('host_slis') }}
    {{ where_touched() }}
),

rejected as (
    select
        run_id,
        count(*) as rejected_rows,
    from {{ ref('rejected_rows') }}
    {{ where_touched() }}
    group by run_id
),

recorders as (
    select * from {{ ref('recorder_health') }}
    {{ where_touched() }}
),

omitted as (
    select
        run_id,
        count(*) as hosts_omitted,
    from exposed_hosts
    where not is_exposed
    group by run_id
),

breakers as (
    select
        run_id,
        host,
        bool_or(closed_at is null) as is_open,
    from {{ ref('breaker_intervals') }}
    {{ where_touched() }}
    group by run_id, host
),

inventory as (
    select * from {{ ref('run_inventory') }}
    {{ where_touched() }}
),

slis as (
    select * from {{ ref('run_slis') }}
    {{ where_touched() }}
),

verdicts as (
    select * from {{ ref('run_verdicts') }}
    {{ where_touched() }}
),

runs as (
    select
        inventory.*,
        slis.* exclude (run_id),
        verdicts.* exclude (run_id),
        coalesce(rejected.rejected_rows, 0) as rejected_rows,
        coalesce(omitted.hosts_omitted, 0) as hosts_omitted,
        recorders.events_dropped,
    from inventory
    inner join slis on inventory.run_id = slis.run_id
    inner join verdicts on inventory.run_id = verdicts.run_id
    left join rejected on inventory.run_id = rejected.run_id
    left join omitted on inventory.run_id = omitted.run_id
    left join recorders on inventory.run_id = recorders.run_id
),

roles as (
    select * from {{ ref('role_slis') }}
    {{ where_touched() }}
),

resolvers as (
    select * from {{ ref('resolver_slis') }}
    {{ where_touched() }}
),

known_hosts as (
    select
        exposed_hosts.*,
        slis_of_hosts.* exclude (run_id, host, requests, network_requests),
        traffic.* exclude (run_id, host),
        breakers.is_open,
    from exposed_hosts
    inner join slis_of_hosts
        on exposed_hosts.run_id = slis_of_hosts.run_id and exposed_hosts.host = slis_of_hosts.host
    left join traffic
        on exposed_hosts.run_id = traffic.run_id and exposed_hosts.host = traffic.host
    left join breakers
        on exposed_hosts.run_id = breakers.run_id and exposed_hosts.host = breakers.host
),

hosts as (
    select * from known_hosts
    where is_exposed
),

-- what can be summed over the hosts that have no series of their own
host_sums as (
    select
        run_id,
        exposed_as as host,
        sum(columns([
            'breaker_opens', 'requests', 'network_requests', 'http_429_requests',
            'http_5xx_requests', 'exceptions',
        ])),
    from known_hosts
    group by run_id, exposed_as
),

judged as (
    select * from {{ ref('slo_verdicts') }}
    {{ where_touched() }}
),

slos as (
    select judged.*
    from judged
    left join exposed_hosts
        on judged.run_id = exposed_hosts.run_id and judged.subject = exposed_hosts.host
    where judged.scope <> 'run_host' or exposed_hosts.is_exposed
),

samples as (
    {%- for relation in ['runs', 'roles', 'resolvers', 'hosts', 'host_sums', 'slos'] %}
    {%- set declared = [] %}
    {%- if relation == 'runs' %}
    {%- for sli in var('slis') if sli.meta.help %}
    {%- set of_sli = {'name': 'docstokg_run_' ~ sli.name, 'value': sli.name} %}
    {%- do of_sli.update(sli.meta.metric or {}, help=sli.meta.help) %}
    {%- do declared.append(of_sli) %}
    {%- endfor %}
    {%- endif %}
    select
        run_id,
        unnest([
            {%- for each in declared + var('metrics')[relation] %}
            {{ metric(each) }},
            {%- endfor %}
        ], max_depth := 2),
    from {{ relation }}
    {%- if not loop.last %}
    union all by name
    {%- endif %}
    {%- endfor %}
),

-- no data is no series
final as (
    select
        run_id,
        name,
        type,
        help,
        labels,
        amount as value,
    from samples
    where isfinite(amount)
)

select * from final
