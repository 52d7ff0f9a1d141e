-- What explains the changes of the run that was asked for: the contributions of its diagnosis, of
-- the SLIs that are worse or better than in the runs it is compared with.
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

changed as (

    select
        slo,
        scope,
        subject,
        verdict,
    from regressions
    where verdict in ('worse', 'better')

),

joined as (

    select
        contributions.*,
        changed.verdict,
        measures.measure,
        measures.unit,
        members.verdict as own_verdict,
        if(changed.verdict = 'worse', 1, -1) * contributions.worsening as explained,
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
    left join regressions as members
        on
            contributions.slo = members.slo
            and contributions.segment = members.subject
            and contributions.scope = 'run'
            and contributions.part = 'segment'
            and 'run_' || contributions.dimension = members.scope

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
