with chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

runs as (
    select * from {{ ref('int_runs') }}
),

-- no data is neither a miss nor an end of them
judged as (
    select
        verdicts.slo,
        verdicts.scope,
        verdicts.subject,
        verdicts.run_id,
        verdicts.status,
        row_number() over (
            partition by verdicts.slo, verdicts.scope, verdicts.subject
            order by runs.last_event_at, verdicts.run_id
        ) as place,
    from {{ ref('slo_verdicts') }} as verdicts
    inner join runs on verdicts.run_id = runs.run_id
    semi join chosen on verdicts.run_id = chosen.run_id
    where verdicts.status in ('pass', 'fail')
),

ended as (
    select
        slo,
        scope,
        subject,
        coalesce(max(place) filter (status = 'pass'), 0) as last_met,
        max(place) as latest,
    from judged
    group by slo, scope, subject
),

final as (
    select
        judged.slo,
        judged.scope,
        judged.subject,
        judged.run_id as since_run_id,
        ended.latest - ended.last_met as runs_missed,
        ended.last_met > 0 as was_met_before,
    from judged
    inner join ended
        on {{ same_slo('judged', 'ended') }} and judged.place = ended.last_met + 1
)

select * from final
