with verdicts as (
    select
        *,
        if(comparator = '>=', -1, 1) as worse_sign,
    from {{ ref('slo_verdicts') }}
),

measures as (
    select * from {{ ref('int_diagnosis_measures') }}
),

measured as (
    select * from {{ ref('diagnosis_measured') }}
),

totals as (
    select
        measured.slo,
        measured.scope,
        measured.subject,
        sum(measured.numerator_now) / any_value(measured.whole_now) as counted_now,
        sum(measured.numerator_before) / any_value(measured.whole_before) as counted_before,
        measures.scale * if(measured.kind = 'loss', 1 - counted_now, counted_now) as measure_now,
        measures.scale * if(measured.kind = 'loss', 1 - counted_before, counted_before)
            as measure_before,
    from measured
    inner join measures
        on
            measured.slo = measures.slo
            and measured.scope = measures.scope
            and measured.dimension = measures.dimension
    group by measured.slo, measured.scope, measured.subject, measured.kind, measures.scale
),

values_before as (
    select
        slo,
        scope,
        subject,
        median(value) as value_median,
        count(value) as runs_compared,
    from verdicts
    where list_contains({{ diagnosed_baselines() }}, run_id)
    group by slo, scope, subject
),

-- A run that misses its target as far as the one before it says little about that one: it is then
-- held against the target. Not so where somebody named what to compare with.
final as (
    select
        verdicts.run_id,
        measures.topic,
        verdicts.slo,
        verdicts.scope,
        verdicts.subject,
        verdicts.comparator,
        verdicts.target,
        verdicts.unit,
        verdicts.value,
        verdicts.status,
        verdicts.distance,
        verdicts.sample_size,
        -- percentiles of several runs have no common value: the median of the runs'
        if(measures.is_sli, totals.measure_before, values_before.value_median) as value_before,
        verdicts.value - value_before as change,
        coalesce(values_before.runs_compared, 0) as runs_compared,
        measures.measure,
        measures.unit as measure_unit,
        measures.dimension,
        totals.measure_now,
        totals.measure_before,
        coalesce(measures.allowed, verdicts.target) as measure_target,
        case
            when verdicts.value is null or totals.measure_now is null then 'nothing'
            when totals.measure_before is null then 'target'
            when {{ diagnosed_against() }} <> 'previous' or verdicts.status <> 'fail' then 'runs'
            when
                verdicts.worse_sign * (totals.measure_now - totals.measure_before)
                < {{ var('diagnosis_least_explained') }}
                * verdicts.worse_sign
                * (totals.measure_now - measure_target)
                then 'target'
            else 'runs'
        end as compared_with,
        case compared_with
            when 'runs' then totals.measure_now - totals.measure_before
            when 'target' then totals.measure_now - measure_target
        end as measure_change,
        measures.scale,
        verdicts.worse_sign,
        row_number() over (
            partition by verdicts.slo, verdicts.scope
            order by
                verdicts.status = 'fail' desc,
                verdicts.distance asc nulls last,
                verdicts.subject asc
        ) as severity,
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
)

select * from final
