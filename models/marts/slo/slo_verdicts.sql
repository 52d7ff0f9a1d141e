{{ config(materialized='incremental') }}

with expected as (
    select * from {{ ref('slo_index') }}
    {{ where_touched() }}
),

measurements as (
    select
        * exclude (measure),
        measure as slo,
    from {{ ref('slo_measurements') }}
    {{ where_touched() }}
),

measured as (
    select
        expected.*,
        slis.amount as value,
        samples.amount as sample_size,
    from expected
    left join measurements as slis
        on {{ same_slo('expected', 'slis') }} and expected.run_id = slis.run_id
    left join measurements as samples
        on
            expected.run_id = samples.run_id
            and expected.scope = samples.scope
            and expected.subject is not distinct from samples.subject
            and expected.sample = samples.slo
),

judged as (
    select
        * exclude (sample, good, objective_pct, window_days, smallest_sample, sample_size),
        case
            when value is null then 'no_data'
            when {{ meets('value', 'comparator', 'target') }} then 'pass'
            else 'fail'
        end as status,
        if(comparator = '>=', value - target, target - value) as distance,
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
