with verdicts as (
    select * from {{ ref('slo_verdicts') }}
),

measures as (
    select * from {{ ref('int_diagnosis_measures') }}
),

baselines as (
    select unnest({{ diagnosed_baselines() }}) as run_id
),

measured as (
    select * from {{ ref('diagnosis_measured') }}
),

totals as (
    select
        measured.slo,
        measured.scope,
        measured.subject,
        if(measured.kind = 'loss', 1, 0)
        + if(measured.kind = 'loss', -1, 1) * sum(measured.numerator_now)
        / any_value(measured.whole_now) as part_now,
        if(measured.kind = 'loss', 1, 0)
        + if(measured.kind = 'loss', -1, 1) * sum(measured.numerator_before)
        / any_value(measured.whole_before) as part_before,
    from measured
    inner join measures
        on
            measured.slo = measures.slo
            and measured.scope = measures.scope
            and measured.dimension = measures.dimension
    group by measured.slo, measured.scope, measured.subject, measured.kind
),

values_before as (
    select
        verdicts.slo,
        verdicts.scope,
        verdicts.subject,
        median(verdicts.value) as value_median,
        count(verdicts.value) as runs_compared,
    from verdicts
    inner join baselines on verdicts.run_id = baselines.run_id
    group by verdicts.slo, verdicts.scope, verdicts.subject
),

joined as (
    select
        verdicts.run_id,
        verdicts.slo,
        verdicts.scope,
        verdicts.subject,
        measures.topic,
        verdicts.comparator,
        verdicts.target,
        verdicts.unit,
        verdicts.value,
        verdicts.status,
        verdicts.distance,
        verdicts.sample_size,
        measures.scale * totals.part_before as measure_before,
        -- percentiles of several runs have no common value: the median of the runs'
        if(measures.is_sli, measure_before, values_before.value_median) as value_before,
        coalesce(values_before.runs_compared, 0) as runs_compared,
        measures.measure,
        measures.unit as measure_unit,
        measures.scale,
        measures.dimension,
        measures.scale * totals.part_now as measure_now,
        coalesce(measures.allowed, verdicts.target) as measure_target,
        if(verdicts.comparator = '>=', -1, 1) as worse_sign,
    from verdicts
    left join measures
        on
            verdicts.slo = measures.slo
            and verdicts.scope = measures.scope
    left join totals
        on {{ same_slo('verdicts', 'totals') }}
    left join values_before
        on {{ same_slo('verdicts', 'values_before') }}
    where verdicts.run_id = {{ diagnosed_run() }}
),

-- A run that misses its target as far as the one before it says little about that one: it is then
-- held against the target. Not so where somebody named what to compare with.
judged as (
    select
        *,
        case
            when value is null or measure_now is null then 'nothing'
            when measure_before is null then 'target'
            when {{ diagnosed_against() }} <> 'previous' or status <> 'fail' then 'runs'
            when
                worse_sign * (measure_now - measure_before)
                < {{ var('diagnosis_least_explained') }}
                * worse_sign
                * (measure_now - measure_target)
                then 'target'
            else 'runs'
        end as compared_with,
    from joined
),

final as (
    select
        run_id,
        topic,
        slo,
        scope,
        subject,
        comparator,
        target,
        unit,
        value,
        status,
        distance,
        sample_size,
        value_before,
        value - value_before as change,
        runs_compared,
        measure,
        measure_unit,
        dimension,
        measure_now,
        measure_before,
        measure_target,
        compared_with,
        case compared_with
            when 'runs' then measure_now - measure_before
            when 'target' then measure_now - measure_target
        end as measure_change,
        scale,
        worse_sign,
        row_number() over (
            partition by slo, scope
            order by status = 'fail' desc, distance asc nulls last, subject asc
        ) as severity,
    from judged
)

select * from final
