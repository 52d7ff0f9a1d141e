-- Guards against a typing error in the seed, which would show as "no data" for ever: an SLO or a
-- sample that is no column of the SLI mart of its scope. Returns the seed's row.
with targets as (

    select * from {{ ref('slo_targets') }}

),

measures as (

    select distinct
        scope,
        measure
    from {{ ref('slo_measurements') }}

),

wanted as (

    select
        scope,
        slo as measure
    from targets
    union
    select
        scope,
        sample as measure
    from targets

)

select
    wanted.scope,
    wanted.measure,
from wanted
anti join measures on wanted.scope = measures.scope and wanted.measure = measures.measure
-- an empty warehouse has no measures to compare with
where wanted.scope in (select scope from measures)
