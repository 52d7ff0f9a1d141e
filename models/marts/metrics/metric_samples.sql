{{ config(materialized='incremental') }}

with exposed_hosts as (
    select * from {{ ref('int_exposed_hosts') }}
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

-- what each host has a value of its own of
hosts as (
    select
        slis_of_hosts.*,
        traffic.latency_p50_ms,
        traffic.latency_p95_ms,
        breakers.is_open,
    from slis_of_hosts
    inner join exposed_hosts
        on slis_of_hosts.run_id = exposed_hosts.run_id and slis_of_hosts.host = exposed_hosts.host
    left join traffic
        on slis_of_hosts.run_id = traffic.run_id and slis_of_hosts.host = traffic.host
    left join breakers
        on slis_of_hosts.run_id = breakers.run_id and slis_of_hosts.host = breakers.host
    where exposed_hosts.is_exposed
),

-- what can be summed over the hosts that have no series of their own
host_sums as (
    select
        exposed_hosts.run_id,
        exposed_hosts.exposed_as as host,
        sum(slis_of_hosts.breaker_opens) as breaker_opens,
        sum(traffic.requests) as requests,
        sum(traffic.network_requests) as network_requests,
        sum(traffic.http_429_requests) as http_429_requests,
        sum(traffic.http_5xx_requests) as http_5xx_requests,
        sum(traffic.exceptions) as exceptions,
    from exposed_hosts
    inner join slis_of_hosts
        on exposed_hosts.run_id = slis_of_hosts.run_id and exposed_hosts.host = slis_of_hosts.host
    left join traffic
        on exposed_hosts.run_id = traffic.run_id and exposed_hosts.host = traffic.host
    group by exposed_hosts.run_id, exposed_hosts.exposed_as
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
    select
        run_id,
        unnest([
            {%- for sli in var('slis') if sli.meta.help %}
            {%- set told = sli.meta.metric or {} %}
            {{ metric(
                told.name or 'docstokg_run_' ~ sli.name, told.type or 'gauge', sli.name,
                sli.meta.help, told.labels or {}
            ) }},
            {%- endfor %}
            {{ metric(
                'docstokg_run_artifacts', 'gauge', 'artifacts',
                'Artifacts attempted so far.'
            ) }},
            {{ metric(
                'docstokg_run_artifacts_succeeded', 'gauge', 'artifacts_success',
                'Artifacts that succeeded so far.'
            ) }},
            {{ metric(
                'docstokg_run_requests_total', 'counter', 'requests',
                'Requests of the run, cached ones included.'
            ) }},
            {{ metric(
                'docstokg_run_network_requests_total', 'counter', 'network_requests',
                'Requests of the run that went to the network.'
            ) }},
            {{ metric(
                'docstokg_run_start_timestamp_seconds', 'gauge', 'epoch(started_at)',
                'When the run began, Unix time.'
            ) }},
            {{ metric(
                'docstokg_run_last_event_timestamp_seconds', 'gauge', 'epoch(last_event_at)',
                'Time of the last event of the run, Unix time.'
            ) }},
            {{ metric(
                'docstokg_run_length_seconds', 'gauge', 'length_s',
                'From the start of the run to its end, or to its last event.'
            ) }},
            {{ metric(
                'docstokg_run_finished', 'gauge', 'is_finished::integer',
                '1 when the end of the run is recorded.'
            ) }},
            {{ metric(
                'docstokg_run_passed', 'gauge', 'has_passed::integer',
                '1 when no SLO of the run or of its roles is missed.'
            ) }},
            {{ metric(
                'docstokg_run_slos', 'gauge', 'slos_passed',
                'SLOs of the run and of its roles, by verdict.',
                {'status': "'pass'"}
            ) }},
            {{ metric(
                'docstokg_run_slos', 'gauge', 'slos_failed',
                'SLOs of the run and of its roles, by verdict.',
                {'status': "'fail'"}
            ) }},
            {{ metric(
                'docstokg_run_slos', 'gauge', 'slos_without_data',
                'SLOs of the run and of its roles, by verdict.',
                {'status': "'no_data'"}
            ) }},
            {{ metric(
                'docstokg_run_rejected_rows', 'gauge', 'rejected_rows',
                'Rows of the run that could not be used.'
            ) }},
            {{ metric(
                'docstokg_run_dropped_events', 'gauge', 'events_dropped',
                'Events that the recorder dropped, as it says itself.'
            ) }},
            {{ metric(
                'docstokg_run_hosts_omitted', 'gauge', 'hosts_omitted',
                'Hosts without series of their own: they are summed as host other.'
            ) }},
        ], max_depth := 2),
    from runs
    union all by name
    select
        run_id,
        unnest([
            {{ metric(
                'docstokg_run_rate_delay_p95_ms', 'gauge', 'rate_delay_p95_ms',
                'p95 of what the rate limiter made requests of a role wait, ms.',
                {'role': 'role'}
            ) }},
        ], max_depth := 2),
    from roles
    union all by name
    select
        run_id,
        unnest([
            {{ metric(
                'docstokg_resolver_yield_pct', 'gauge', 'yield_pct',
                'Artifacts that a resolver got, of those it was the one for, percent.',
                {'resolver': 'resolver'}
            ) }},
            {{ metric(
                'docstokg_resolver_artifacts', 'gauge', 'artifacts',
                'Artifacts of a resolver.',
                {'resolver': 'resolver'}
            ) }},
            {{ metric(
                'docstokg_resolver_ttfp_seconds', 'untyped', 'ttfp_p50_ms / 1000',
                'Time to the first success, of artifacts whose first success a resolver had, seconds.',
                {'resolver': 'resolver', 'quantile': "'p50'"}
            ) }},
            {{ metric(
                'docstokg_resolver_ttfp_seconds', 'untyped', 'ttfp_p95_ms / 1000',
                'Time to the first success, of artifacts whose first success a resolver had, seconds.',
                {'resolver': 'resolver', 'quantile': "'p95'"}
            ) }},
        ], max_depth := 2),
    from resolvers
    union all by name
    select
        run_id,
        unnest([
            {{ metric(
                'docstokg_host_http429_ratio', 'gauge', 'http_429_pct',
                'Network requests to a host answered 429, percent.',
                {'host': 'host'}
            ) }},
            {{ metric(
                'docstokg_host_latency_seconds', 'untyped', 'latency_p50_ms / 1000',
                'Latency of network requests to a host, seconds.',
                {'host': 'host', 'quantile': "'p50'"}
            ) }},
            {{ metric(
                'docstokg_host_latency_seconds', 'untyped', 'latency_p95_ms / 1000',
                'Latency of network requests to a host, seconds.',
                {'host': 'host', 'quantile': "'p95'"}
            ) }},
            {{ metric(
                'docstokg_breaker_opens_per_hour', 'gauge', 'breaker_opens_per_hour',
                'The most openings of a circuit breaker within any hour of the run.',
                {'host': 'host'}
            ) }},
            {{ metric(
                'docstokg_breaker_open', 'gauge', 'is_open::integer',
                '1 while a circuit breaker of the host is open.',
                {'host': 'host'}
            ) }},
        ], max_depth := 2),
    from hosts
    union all by name
    select
        run_id,
        unnest([
            {{ metric(
                'docstokg_breaker_open_events_total', 'counter', 'breaker_opens',
                'Openings of circuit breakers.',
                {'host': 'host'}
            ) }},
            {{ metric(
                'docstokg_host_requests_total', 'counter', 'requests',
                'Requests to a host, cached ones included.',
                {'host': 'host'}
            ) }},
            {{ metric(
                'docstokg_host_network_requests_total', 'counter', 'network_requests',
                'Requests to a host that went to the network.',
                {'host': 'host'}
            ) }},
            {{ metric(
                'docstokg_host_http429_responses_total', 'counter', 'http_429_requests',
                'Network requests to a host answered 429.',
                {'host': 'host'}
            ) }},
            {{ metric(
                'docstokg_host_http5xx_responses_total', 'counter', 'http_5xx_requests',
                'Network requests to a host answered 500 to 599.',
                {'host': 'host'}
            ) }},
            {{ metric(
                'docstokg_host_exceptions_total', 'counter', 'exceptions',
                'Network requests to a host that raised an exception.',
                {'host': 'host'}
            ) }},
        ], max_depth := 2),
    from host_sums
    union all by name
    select
        run_id,
        unnest([
            {{ metric(
                'docstokg_slo_target', 'gauge', 'target',
                'What the SLO wants, in the unit of its SLI.',
                {'slo': 'slo', 'scope': 'scope', 'subject': "coalesce(subject, '')"}
            ) }},
            {{ metric(
                'docstokg_slo_value', 'gauge', 'value',
                'The SLI that the SLO judges.',
                {'slo': 'slo', 'scope': 'scope', 'subject': "coalesce(subject, '')"}
            ) }},
            {{ metric(
                'docstokg_slo_verdict', 'gauge', "case status when 'pass' then 1 when 'fail' then 0 end",
                '1 when the SLO is met, 0 when it is missed; no series without data.',
                {'slo': 'slo', 'scope': 'scope', 'subject': "coalesce(subject, '')"}
            ) }},
        ], max_depth := 2),
    from slos
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
