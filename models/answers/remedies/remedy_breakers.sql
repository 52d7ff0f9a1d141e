-- What the openings of a host's breaker say of the host, and of the breaker.

with hosts as (
    select * from {{ ref('remedy_hosts') }}
    where cause.topic in ('breaker', 'yield')
),

symptoms as (
    select * from {{ ref('diagnosis_symptoms') }}
),

intervals as (
    select * from {{ ref('breaker_intervals') }}
    where run_id = {{ diagnosed_run() }}
),

measured as (
    select * from {{ ref('diagnosis_measured') }}
    where
        slo = 'breaker_opens_per_hour'
        and dimension = 'failure'
        and numerator_now > 0
),

paces_before as (
    select
        host,
        sum(failed_requests) / nullif(sum(network_requests), 0) as part_failed,
    from {{ ref('host_pace') }}
    where list_contains({{ diagnosed_baselines() }}, run_id)
    group by host
),

counted as (
    select
        host,
        count(*) as openings,
        count(*) filter (state_before = 'closed') as openings_from_closed,
        median(seconds_open) as open_p50_s,
    from intervals
    group by host
),

-- an opening is divided among the failures before it: shares, as nobody sees half of one
shares as (
    select
        subject as host,
        segment,
        numerator_now,
        100 * numerator_now / sum(numerator_now) over (partition by subject) as share_pct,
    from measured
),

-- why breakers opened: the openings of the worst hour, by the failures before them
openers as (
    select
        host,
        string_agg(
            format('{:.0f} % after {}', share_pct, segment),
            ', ' order by share_pct desc, segment asc
        ) as opened_by,
        sum(numerator_now) as opened_in_worst_hour,
        sum(numerator_now) filter (segment = 'no failure recorded') as opened_without_failure,
    from shares
    group by host
),

-- Openings that no failure is behind say nothing of the host. Of the causes that do, the first one
-- gets what cures them all. After a half-open state one failure is enough, so that only openings
-- from closed tell what a breaker bears: at most the failures for each of these.
final as (
    select
        hosts.*,
        symptoms.target,
        counted.openings,
        counted.openings_from_closed,
        counted.open_p50_s,
        openers.opened_by,
        openers.opened_in_worst_hour,
        openers.opened_without_failure,
        paces_before.part_failed as part_failed_before,
        hosts.cause.place = min(hosts.cause.place) filter (
            hosts.cause.segment is distinct from 'no failure recorded'
        ) over (
            partition by hosts.cause.slo, hosts.cause.scope, hosts.cause.subject
        ) as is_first_failing,
        hosts.failed_requests > 0
        and hosts.failed_requests / hosts.network_requests > if(
            symptoms.compared_with = 'runs', coalesce(paces_before.part_failed, 0), 0
        ) as has_more_failures,
        (hosts.http_429_requests + hosts.failed_requests)
        / nullif(counted.openings_from_closed, 0) as failures_borne,
    from hosts
    inner join symptoms
        on {{ same_slo('hosts.cause', 'symptoms') }}
    inner join counted on hosts.host = counted.host
    left join openers on hosts.host = openers.host
    left join paces_before on hosts.host = paces_before.host
)

select * from final
