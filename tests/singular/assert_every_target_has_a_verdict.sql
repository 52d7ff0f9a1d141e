-- Guards against a target that nobody is held to: a run in which an SLO of the seed has no row at
-- all, not even "no data". Returns the run, the SLO and its scope.
with targets as (

    select distinct
        slo,
        scope
    from {{ ref('slo_targets') }}

),

runs as (

    select run_id from {{ ref('run_inventory') }}

),

verdicts as (

    select distinct
        run_id,
        slo,
        scope
    from {{ ref('slo_verdicts') }}

)

select
    runs.run_id,
    targets.slo,
    targets.scope,
from runs
cross join targets
anti join verdicts
    on
        runs.run_id = verdicts.run_id
        and targets.slo = verdicts.slo
        and targets.scope = verdicts.scope
