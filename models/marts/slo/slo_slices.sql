{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

with expected as (

    select * from {{ ref('slo_index') }}
    {{ where_touched() }}

),

numbers as (

    select * from {{ ref('int_hour_slis') }}
    {{ where_touched() }}

),

-- only hours in which the run did something: a clock set wrong would make centuries of others
hours as (

    select distinct
        run_id,
        hour_at,
    from numbers

),

measured as (

    select
        hours.hour_at,
        expected.*,
        numbers.measure,
        numbers.amount,
    from hours
    inner join expected on hours.run_id = expected.run_id
    left join numbers
        on
            hours.run_id = numbers.run_id
            and hours.hour_at = numbers.hour_at
            and expected.scope = numbers.scope
            and expected.subject is not distinct from numbers.subject
            and numbers.measure in (expected.slo, expected.sample, expected.good)

),

final as (

    select
        run_id,
        hour_at,
        slo,
        scope,
        subject,
        comparator,
        target,
        unit,
        objective_pct,
        window_days,
        smallest_sample,
        max(amount) filter (measure = slo) as value,
        coalesce(max(amount) filter (measure = sample), 0) as sample_size,
        max(amount) filter (measure = good) as good_events,
    from measured
    group by all

)

select * from final
