-- What explains the changes of the run that was asked for: the contributions of its diagnosis, of
-- the SLIs that are worse or better than in the runs it is compared with. Of a percentile that is
-- the part of what is slower than the target. Where the percentile meets the target now and met it
-- before, or that part did not change as the percentile did, it is the mean, of times cut off at
-- the target, if that did.
with regressions as (
    select * from {{ ref('regressions') }}
    where run_id = {{ diagnosed_run() }}
),

contributions as (
    select * from {{ ref('diagnosis_contributions') }}
),

measures as (
    select * from {{ ref('int_diagnosis_measures') }}
),

symptoms as (
    select * from {{ ref('diagnosis_symptoms') }}
),

means as (
    select * from {{ ref('mean_contributions') }}
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
        null as amount_now,
        null as amount_before,
        if(changed.verdict = 'worse', 1, -1) * contributions.worsening as explained,
        sum(explained) over (
            partition by changed.slo, changed.scope, changed.subject
        ) as explained_in_all,
        if(
            symptoms.worse_sign * (symptoms.measure_now - symptoms.measure_target) > 0
            or symptoms.worse_sign * (symptoms.measure_before - symptoms.measure_target) > 0,
            1,
            3
        ) as choice,
    from contributions
    inner join changed
        on {{ same_slo('contributions', 'changed') }}
    inner join measures
        on
            contributions.slo = measures.slo
            and contributions.scope = measures.scope
            and contributions.dimension = measures.dimension
    inner join symptoms
        on {{ same_slo('contributions', 'symptoms') }}
),

of_means as (
    select
        changed.slo,
        changed.scope,
        changed.subject,
        changed.verdict,
        measures.measure,
        measures.unit,
        means.dimension,
        means.part,
        means.segment,
        means.contribution,
        means.total_change,
        null as rate_now_pct,
        null as rate_before_pct,
        if(means.part = 'segment', 100 * means.share_now, null) as share_now_pct,
        if(means.part = 'segment', 100 * means.share_before, null) as share_before_pct,
        means.mean_now as amount_now,
        means.mean_before as amount_before,
        -- more time is always worse
        if(changed.verdict = 'worse', 1, -1) * means.contribution as explained,
        sum(explained) over (
            partition by changed.slo, changed.scope, changed.subject
        ) as explained_in_all,
        2 as choice,
    from changed
    inner join means
        on
            changed.slo || '_mean' = means.slo
            and changed.scope = means.scope
            and changed.subject is not distinct from means.subject
    inner join measures
        on
            means.slo = measures.slo
            and means.scope = measures.scope
            and means.dimension = measures.dimension
),

every as (
    from of_diagnosis
    union all
    from of_means
),

taken_apart as (
    select * from every
    -- what changed the other way explains nothing
    where explained_in_all > 1e-9
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
        coalesce(share_of_change < {{ var('regression_much_part') }}, false)
        and count(*) over (partition by slo, scope, subject) > 1 as is_one_of_many,
        rate_now_pct,
        rate_before_pct,
        share_now_pct,
        share_before_pct,
        amount_now,
        amount_before,
        row_number() over (
            partition by slo, scope, subject
            order by round(explained, 9) desc, segment asc, part asc
        ) as place,
    from joined
    where abs(explained) > 1e-9
)

select * from final
