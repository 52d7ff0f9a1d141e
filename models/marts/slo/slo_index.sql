with runs as (
    select run_id from {{ ref('int_runs') }}
),

targets as (
    select * from {{ ref('int_slo_targets') }}
),

roles as (
    select
        run_id,
        'run_role' as scope,
        role as subject
    from {{ ref('role_slis') }}
),

hosts as (
    select
        run_id,
        'run_host' as scope,
        host as subject
    from {{ ref('host_slis') }}
),

defaults as (
    select
        slo,
        scope
    from targets
    where subject is null
),

-- what a target could be held against: the subjects a run met, and the roles a target names
-- (an expected role that never came is "no data"; a host that was never asked is so only where
-- nothing but named hosts has a target)
candidates as (
    select
        runs.run_id,
        targets.slo,
        targets.scope,
        null::varchar as subject
    from runs
    cross join (select distinct
        slo,
        scope
    from targets
    where scope = 'run') as targets

    union

    select
        runs.run_id,
        targets.slo,
        targets.scope,
        targets.subject
    from runs
    cross join targets
    left join defaults
        on
            targets.slo = defaults.slo
            and targets.scope = defaults.scope
    where
        targets.subject is not null
        and (targets.scope = 'run_role' or defaults.slo is null)

    union

    select
        met.run_id,
        targets.slo,
        targets.scope,
        met.subject
    from (
        from roles
        union all
        from hosts
    ) as met
    inner join (select distinct
        slo,
        scope
    from targets) as targets on met.scope = targets.scope

    union

    -- a run that met no host at all still has a row to say so
    select
        runs.run_id,
        targets.slo,
        targets.scope,
        null::varchar as subject
    from runs
    cross join defaults as targets
    where
        targets.scope = 'run_host'
        and runs.run_id not in (select run_id from hosts)
),

final as (
    select
        candidates.run_id,
        candidates.slo,
        candidates.scope,
        candidates.subject,
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
