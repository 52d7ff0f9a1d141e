-- What adds up, beside what it is compared with: runs, or else the target.
with symptoms as (
    select
        *,
        compared_with = 'runs' as has_runs,
    from {{ ref('diagnosis_symptoms') }}
    where compared_with in ('runs', 'target')
),

measured as (
    select * from {{ ref('diagnosis_measured') }}
),

final as (
    select
        measured.* replace (
            if(symptoms.has_runs, measured.numerator_before, null) as numerator_before,
            if(symptoms.has_runs, measured.denominator_before, null) as denominator_before
        ),
        symptoms.topic,
        symptoms.scale,
        symptoms.worse_sign,
        symptoms.has_runs,
        if(symptoms.has_runs, null, symptoms.measure_target / symptoms.scale) as part_target,
    from measured
    inner join symptoms
        on {{ same_slo('measured', 'symptoms') }}
    where
        measured.whole_now > 0
        and (measured.whole_before > 0 or not symptoms.has_runs)
)

select * from final
