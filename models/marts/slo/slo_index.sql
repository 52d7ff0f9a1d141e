with runs as (
    select run_id from {{ ref('int_runs') }}
),

targets as (
    select
        *,
        bool_or(subject is null) over (partition by slo, scope) as has_default,
    from {{ ref('int_slo_targets') }}
),

roles as (
    select
        run_id,
        'run_role' as scope,
        role as subject,
    from {{ ref('role_slis') }}
),

hosts as (
    select
        run_id,
        'run_host' as scope,
        host as subject,
    from {{ ref('host_slis') }}
),

met as (
    from roles
    union all
    from hosts
    union all
    select
        runs.run_id,
        scopes.scope,
        null as subject,
    from runs
    cross join unnest(['run', 'run_host']) as scopes (scope)
    -- a run that met no host at all still has a row to say so
    where scopes.scope = 'run' or runs.run_id not in (select hosts.run_id from hosts)
),

-- what a target could be held against: the subjects a run met, and the roles a target names
-- (an expected role that never came is "no data"; a host that was never asked is so only where
-- nothing but named hosts has a target)
candidates as (
    select
        met.run_id,
        targets.slo,
        targets.scope,
        met.subject,
    from met
    inner join targets on met.scope = targets.scope
    union
    select
        runs.run_id,
        targets.slo,
        targets.scope,
        targets.subject,
    from runs
    cross join targets
    where subject is not null and (scope = 'run_role' or not has_default)
),

final as (
    select
        candidates.*,
        targets.comparator,
        targets.target,
        targets.unit,
        targets.sample,
        targets.good,
        targets.objective_pct,
        targets.window_days,
        targets.smallest_sample,
    from candidates
    inner join targets
        on
            candidates.slo = targets.slo
            and candidates.scope = targets.scope
            and (targets.subject is null or candidates.subject = targets.subject)
    {{ most_specific(
        ['candidates.run_id', 'candidates.slo', 'candidates.scope', 'candidates.subject'], 'targets'
    ) }}
)

select * from final
