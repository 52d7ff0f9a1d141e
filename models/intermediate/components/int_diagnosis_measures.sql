with worded as (
    select * from {{ ref('diagnosis_measures') }}
),

slis as (
    select * from {{ ref('int_slis') }}
    where
        kind in ('ratio', 'percentile')
        and len(parts) > 0
),

targets as (
    select
        slo,
        scope,
        any_value(unit) as unit,
    from {{ ref('slo_targets') }}
    group by slo, scope
),

-- SLOs that the seed has no words of
plain as (
    select
        targets.slo,
        targets.scope,
        targets.unit as slo_unit,
        slis.topic,
        slis.kind,
        slis.quantile,
        lower(slis.told[1]) || slis.told[2:] as told,
        list_filter(slis.parts, lambda part: 'run_' || part <> targets.scope)[1] as dimension,
    from targets
    inner join slis on targets.slo = slis.sli
    anti join worded
        on
            targets.slo = worded.slo
            and targets.scope = worded.scope
    -- of one host, what is told by host only has no parts
    where dimension is not null
),

final as (
    from worded
    union all by name
    select
        slo,
        scope,
        topic,
        told as measure,
        '%' as unit,
        100 as scale,
        true as is_sli,
        dimension,
        told || ': {0} has {1} of its {2} ({3})' as told_rate,
        told || ': {0} has {4} of all ({5}) and {1} of those' as told_share,
    from plain
    where kind = 'ratio'
    union all by name
    select
        slo,
        scope,
        topic,
        told || ', beyond the target' as measure,
        '%' as unit,
        100 as scale,
        round(100 * (1 - quantile), 9) as allowed,
        false as is_sli,
        dimension,
        '{0} has {1} of its {2} beyond the target ({3})' as told_rate,
        '{0} has {4} of all ({5}) and {1} of those beyond the target' as told_share,
    from plain
    where kind = 'percentile'
    union all by name
    select
        slo || '_mean' as slo,
        scope,
        topic,
        'mean of ' || told || ', of greater ones the target' as measure,
        slo_unit as unit,
        1 as scale,
        false as is_sli,
        dimension,
        '{0} adds {4} to the mean ({5})' as told_share,
    from plain
    where kind = 'percentile'
)

select * from final
