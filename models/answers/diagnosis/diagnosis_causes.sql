-- What made a measure worse, the worst first, by the dimension that its measure names.
with contributions as (
    select * from {{ ref('diagnosis_contributions') }}
),

symptoms as (
    select * from {{ ref('diagnosis_symptoms') }}
),

measures as (
    select * from {{ ref('int_diagnosis_measures') }}
),

-- whose attempts failed most is first of those that explain as much
failures as (
    select
        resolver,
        sum(attempts) as failed_attempts,
    from {{ ref('attempt_outcomes') }}
    where
        run_id = {{ diagnosed_run() }}
        and outcome not in ('success', 'no_pdf')
    group by resolver
),

worsening as (
    select
        contributions.*,
        symptoms.compared_with,
        symptoms.scale,
        measures.told_rate,
        measures.told_share,
        measures.unit,
        case
            when contributions.dimension = 'resolver' and contributions.part = 'segment'
                then contributions.segment
        end as resolver,
        case
            when contributions.scope = 'run_host' then contributions.subject
            when contributions.dimension = 'host' then contributions.segment
        end as host,
        case
            when contributions.scope = 'run_role' then contributions.subject
            when contributions.dimension = 'role' then contributions.segment
        end as role,
    from contributions
    inner join symptoms
        on
            {{ same_slo('contributions', 'symptoms') }}
            and contributions.dimension = symptoms.dimension
    inner join measures
        on
            contributions.slo = measures.slo
            and contributions.scope = measures.scope
    where
        contributions.part <> 'allowance'
        and contributions.worsening > 1e-9
),

worded as (
    select
        *,
        coalesce(
            format('{:.1f} %', coalesce(rate_now_pct, rate_before_pct)), 'an unknown part'
        ) as rate_text,
        case
            when rate_before_pct is null then 'not asked before'
            when compared_with = 'target'
                then format('{:.1f} % would meet the target', rate_before_pct)
            else format('{:.1f} % before', rate_before_pct)
        end as rate_before_text,
        case
            when scale = 100 then format('{:.1f} %', share_now_pct)
            when unit = 'ms' then format('{:.4g}', amount_now)
            else {{ told_count('amount_now') }}
        end as share_text,
        case
            when coalesce(share_before_pct, amount_before) is null then ''
            when scale = 100 then format('{:.1f} % before', share_before_pct)
            when unit = 'ms' then format('{:.4g} before', amount_before)
            else {{ told_count('amount_before') }} || ' before'
        end as share_before_text,
    from worsening
),

final as (
    select
        topic,
        slo,
        scope,
        subject,
        dimension,
        part,
        segment,
        worded.resolver,
        host,
        role,
        contribution,
        within_effect,
        mix_effect,
        worsening,
        contribution / nullif(total_change, 0) as share_of_change,
        rate_now_pct,
        rate_before_pct,
        case
            when part = 'depth'
                then format(
                    '{:.2f} were asked per artifact ({:.2f} before)',
                    amount_now,
                    amount_before
                )
            else format(
                case
                    when told_rate is not null and abs(mix_effect) <= abs(within_effect)
                        then told_rate
                    when share_before_text = '' then replace(told_share, ' ({5})', '')
                    else told_share
                end,
                segment,
                rate_text,
                format('{:,.0f}', coalesce(denominator_now, 0)),
                rate_before_text,
                share_text,
                share_before_text
            )
        end as sentence,
        row_number() over (
            partition by worded.slo, worded.scope, worded.subject
            order by
                round(worded.worsening, 9) desc,
                coalesce(failures.failed_attempts, 0) desc,
                worded.place asc,
                dimension asc
        ) as place,
    from worded
    left join failures on worded.resolver = failures.resolver
)

select * from final
