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

candidates as (
    select
        contributions.* exclude (amount_now, amount_before),
        contributions.slo as measured_slo,
        if(
            symptoms.worse_sign * (symptoms.measure_now - symptoms.measure_target) > 0
            or symptoms.worse_sign * (symptoms.measure_before - symptoms.measure_target) > 0,
            1,
            3
        ) as choice,
    from contributions
    inner join symptoms
        on {{ same_slo('contributions', 'symptoms') }}
    union all by name
    select
        * replace (regexp_replace(slo, '_mean$', '') as slo),
        means.slo as measured_slo,
        if(part = 'segment', 100 * share_now, null) as share_now_pct,
        if(part = 'segment', 100 * share_before, null) as share_before_pct,
        mean_now as amount_now,
        mean_before as amount_before,
        -- more time is always worse
        contribution as worsening,
        2 as choice,
    from means
),

-- a change of the measure that has the direction of the verdict is above 0
directed as (
    select
        candidates.*,
        regressions.verdict,
        measures.measure,
        measures.unit,
        if(regressions.verdict = 'worse', 1, -1) * candidates.worsening as explained,
        sum(explained) over (
            partition by candidates.slo, candidates.scope, candidates.subject, candidates.choice
        ) as explained_in_all,
    from candidates
    inner join regressions
        on {{ same_slo('candidates', 'regressions') }}
    inner join measures
        on
            candidates.measured_slo = measures.slo
            and candidates.scope = measures.scope
            and candidates.dimension = measures.dimension
    where regressions.verdict in ('worse', 'better')
),

chosen as (
    select * from directed
    -- what changed the other way explains nothing
    where explained_in_all > 1e-9
    qualify choice = min(choice) over (partition by slo, scope, subject)
),

final as (
    select
        chosen.slo,
        chosen.scope,
        chosen.subject,
        chosen.verdict,
        chosen.measure,
        chosen.unit,
        chosen.dimension,
        chosen.part,
        chosen.segment,
        members.verdict as own_verdict,
        chosen.contribution,
        chosen.total_change as measure_change,
        chosen.contribution / nullif(chosen.total_change, 0) as share_of_change,
        chosen.explained < 0 as is_offsetting,
        coalesce(share_of_change < {{ var('regression_much_part') }}, false)
        and count(*) over changes > 1 as is_one_of_many,
        chosen.rate_now_pct,
        chosen.rate_before_pct,
        chosen.share_now_pct,
        chosen.share_before_pct,
        chosen.amount_now,
        chosen.amount_before,
        row_number() over (
            changes
            order by round(chosen.explained, 9) desc, chosen.segment asc, chosen.part asc
        ) as place,
    from chosen
    left join regressions as members
        on
            chosen.slo = members.slo
            and chosen.segment = members.subject
            and chosen.scope = 'run'
            and chosen.part = 'segment'
            and 'run_' || chosen.dimension = members.scope
    where abs(chosen.explained) > 1e-9
    window changes as (partition by chosen.slo, chosen.scope, chosen.subject)
)

select * from final
