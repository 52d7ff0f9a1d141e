with verdicts as (
    select * from {{ ref('slo_slice_verdicts') }}
),

targets as (
    select * from {{ ref('int_slo_targets') }}
),

moment as (
    select as_of from {{ ref('int_moment') }}
),

kinds as (
    select distinct
        slo,
        scope,
        counted_in,
    from targets
),

-- the running hour counts with what it has recorded so far
begun as (
    select
        verdicts.*,
        kinds.counted_in,
        moment.as_of,
        verdicts.status in ('good', 'bad') as is_judged,
    from verdicts
    inner join kinds on verdicts.slo = kinds.slo and verdicts.scope = kinds.scope
    cross join moment
    where
        verdicts.hour_at < moment.as_of
        and (verdicts.scope = 'run' or verdicts.subject is not null)
),

final as (
    select
        * exclude (comparator, unit, value, sample_size, good_events),
        case
            when counted_in = 'slices' then is_judged::double
            when good_events is not null then sample_size
        end as counted,
        case
            when counted_in = 'slices' then (status = 'bad')::double
            else sample_size - good_events
        end as bad,
    from begun
)

select * from final
