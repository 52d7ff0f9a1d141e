-- What explains the changes of the run that was asked for: the contributions of its diagnosis, of
-- the SLIs that are worse or better than in the runs it is compared with. Of a percentile that is
-- the part of what is slower than the target. Where the percentile meets the target now and met it
-- before, or that part did not change as the percentile did, it is the mean, if that did.
with regressions as (

    select * from {{ ref('regressions') }}
    where run_id = {{ diagnosed_run() }}

),

contributions as (

    select * from {{ ref('diagnosis_contributions') }}

),

measures as (

    select * from {{ ref('diagnosis_measures') }}

),

symptoms as (

    select * from {{ ref('diagnosis_symptoms') }}

),

measured as (

    select * from {{ ref('diagnosis_measured') }}

),

changed as (

    select
        slo,
        scope,
        subject,
        verdict,
    from regressions
    where verdict in ('worse', 'better')

),

-- a change of the measure that has the direction of the verdict is above 0
of_diagnosis as (

    select
        changed.slo,
        changed.scope,
        changed.subject,
        changed.verdict,
        measures.measure,
        measures.unit,
        contributions.dimension,
        contributions.part,
        contributions.segment,
        contributions.contribution,
        contributions.total_change,
        contributions.rate_now_pct,
        contributions.rate_before_pct,
        contributions.share_now_pct,
        contributions.share_before_pct,
        if(changed.verdict = 'worse', 1, -1) * contributions.worsening as explained,
        sum(explained) over (
            partition by changed.slo, changed.scope, changed.subject
        ) as explained_in_all,
        case
            when explained_in_all <= 1e-9 then 4
            when symptoms.worse_sign * (symptoms.measure_now - symptoms.measure_target) > 0 then 1
            when symptoms.worse_sign * (symptoms.measure_before - symptoms.measure_target) > 0
                then 1
            else 3
        end as choice,
    from contributions
    inner join changed
        on
            contributions.slo = changed.slo
            and contributions.scope = changed.scope
            and contributions.subject is not distinct from changed.subject
    inner join measures
        on
            contributions.slo = measures.slo
            and contributions.scope = measures.scope
            and contributions.dimension = measures.dimension
    inner join symptoms
        on
            contributions.slo = symptoms.slo
            and contributions.scope = symptoms.scope
            and contributions.subject is not distinct from symptoms.subject

),

-- of two means the difference of each segment's part of them; more time is always worse
of_means as (

    select
        changed.slo,
        changed.scope,
        changed.subject,
        changed.verdict,
        measures.measure,
        measures.unit,
        measured.dimension,
        'segment' as part,
        measured.segment,
        measured.numerator_now / measured.whole_now
        - measured.numerator_before / measured.whole_before as contribution,
        sum(contribution) over (
            partition by changed.slo, changed.scope, changed.subject
        ) as total_change,
        null as rate_now_pct,
        null as rate_before_pct,
        null as share_now_pct,
        null as share_before_pct,
        if(changed.verdict = 'worse', 1, -1) * contribution as explained,
        sum(explained) over (
            partition by changed.slo, changed.scope, changed.subject
        ) as explained_in_all,
        2 as choice,
    from changed
    inner join measured
        on
            regexp_replace(changed.slo, '_p\d+_', '_mean_') = measured.slo
            and changed.scope = measured.scope
            and changed.subject is not distinct from measured.subject
    inner join measures
        on
            measured.slo = measures.slo
            and measured.scope = measures.scope
            and measured.dimension = measures.dimension
    where regexp_matches(changed.slo, '_p\d+_')

),

every as (

    from of_diagnosis
    union all
    select * from of_means
    where explained_in_all > 1e-9

),

taken_apart as (

    select * from every
    qualify choice = min(choice) over (partition by slo, scope, subject)

),

joined as (

    select
        taken_apart.*,
        members.verdict as own_verdict,
    from taken_apart
    left join regressions as members
        on
            taken_apart.slo = members.slo
            and taken_apart.segment = members.subject
            and taken_apart.scope = 'run'
            and taken_apart.part = 'segment'
            and 'run_' || taken_apart.dimension = members.scope

),

final as (

    select
        slo,
        scope,
        subject,
        verdict,
        measure,
        unit,
        dimension,
        part,
        segment,
        own_verdict,
        contribution,
        total_change as measure_change,
        contribution / nullif(total_change, 0) as share_of_change,
        explained < 0 as is_offsetting,
        rate_now_pct,
        rate_before_pct,
        share_now_pct,
        share_before_pct,
        row_number() over (
            partition by slo, scope, subject
            order by round(explained, 9) desc, segment asc
        ) as place,
    from joined
    where abs(explained) > 1e-9

)

select * from final
