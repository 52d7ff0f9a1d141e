with chosen as (
    select * from {{ ref('int_chosen_runs') }}
),

verdicts as (
    select * from {{ ref('slo_verdicts') }}
),

targets as (
    select * from {{ ref('slo_targets') }}
),

final as (
    select
        verdicts.run_id,
        verdicts.slo,
        verdicts.scope,
        verdicts.subject,
        targets.subject as target_subject,
        verdicts.comparator,
        verdicts.target,
        verdicts.value,
        verdicts.status,
        chosen.length_s,
    from verdicts
    inner join chosen on verdicts.run_id = chosen.run_id
    left join targets on {{ same_slo('verdicts', 'targets') }}
)

select * from final
