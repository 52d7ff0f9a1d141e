{{ config(materialized='incremental') }}

with expected as (
    select * from {{ ref('slo_index') }}
    {{ where_touched() }}
),

numbers as (
    select
        * exclude (starts_at),
        starts_at as hour_at,
    from {{ ref('int_sli_amounts') }}
    {{ where_touched("grain = 'hour' and starts_at is not null") }}
),

-- only hours in which the run did something: a clock set wrong would make centuries of others
hours as (
    select distinct
        run_id,
        hour_at,
    from numbers
),

-- by name, so that one join of equal keys brings the value, its sample and the good ones; a join on
-- "measure in (slo, sample, good)" took 17 s for a month of runs
measured as (
    select
        run_id,
        hour_at,
        scope,
        subject,
        map_from_entries(list(struct_pack(name := measure, amount := amount))) as amounts,
    from numbers
    group by all
),

final as (
    select
        expected.run_id,
        hours.hour_at,
        expected.* exclude (run_id, sample, good),
        measured.amounts[expected.slo] as value,
        coalesce(measured.amounts[expected.sample], 0) as sample_size,
        measured.amounts[expected.good] as good_events,
    from hours
    inner join expected on hours.run_id = expected.run_id
    left join measured
        on
            hours.run_id = measured.run_id
            and hours.hour_at = measured.hour_at
            and expected.scope = measured.scope
            and expected.subject is not distinct from measured.subject
)

select * from final
