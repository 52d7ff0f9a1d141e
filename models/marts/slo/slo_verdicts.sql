{{ config(materialized='incremental') }}

with expected as (
    select * from {{ ref('slo_index') }}
    {{ where_touched() }}
),

measurements as (
    select * from {{ ref('slo_measurements') }}
    {{ where_touched() }}
),

measured as (
    select
        expected.*,
        slis.amount as value,
        samples.amount as sample_size,
    from expected
    left join measurements as slis
        on
            expected.run_id = slis.run_id
            and expected.scope = slis.scope
            and expected.subject is not distinct from slis.subject
            and expected.slo = slis.measure
    left join measurements as samples
        on
            expected.run_id = samples.run_id
            and expected.scope = samples.scope
            and expected.subject is not distinct from samples.subject
            and expected.sample = samples.measure
),

judged as (
    select
        run_id,
        slo,
        scope,
        subject,
        comparator,
        target,
        unit,
        value,
        case
            when value is null then 'no_data'
            when {{ meets('value', 'comparator', 'target') }} then 'pass'
            else 'fail'
        end as status,
        case when comparator = '>=' then value - target else target - value end as distance,
        coalesce(sample_size, 0) as sample_size,
        -- a part of the target, so that ms and % compare; a target of 0 counts as 1
        distance / coalesce(nullif(abs(target), 0), 1) as relative_distance,
    from measured
),

final as (
    select
        *,
        case
            when scope <> 'run_host' and relative_distance is not null
                then row_number() over (
                    partition by run_id
                    order by scope = 'run_host', relative_distance nulls last, slo, scope, subject
                )
        end as place,
    from judged
)

select * from final
