-- What made a measure worse, the worst first, by the dimension that its measure names.
with contributions as (
    select * from {{ ref('diagnosis_contributions') }}
    where
        part <> 'allowance'
        and worsening > 1e-9
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

worded as (
    select
        contributions.*,
        symptoms.compared_with = 'target' as is_of_target,
        symptoms.scale = 100 as is_share,
        measures.unit = 'ms' as is_time,
        measures.told_rate,
        measures.told_share,
        if(contributions.dimension = 'resolver' and part = 'segment', segment, null) as resolver,
        {%- for member in ['host', 'role'] %}
        case
            when contributions.scope = 'run_{{ member }}' then contributions.subject
            when contributions.dimension = '{{ member }}' then segment
        end as {{ member }},
        {%- endfor %}
        coalesce(
            format('{:.1f} %', coalesce(rate_now_pct, rate_before_pct)), 'an unknown part'
        ) as rate_text,
        case
            when rate_before_pct is null then 'not asked before'
            when is_of_target then format('{:.1f} % would meet the target', rate_before_pct)
            else format('{:.1f} % before', rate_before_pct)
        end as rate_before_text,
        {%- for side, told in [('now', ''), ('before', ' before')] %}
        case
            when is_share then format('{:.1f} %', share_{{ side }}_pct)
            when is_time then format('{:.4g}', amount_{{ side }})
            else {{ told_count('amount_' ~ side) }}
        end || '{{ told }}' as share_{{ side }}_text,
        {%- endfor %}
        abs(mix_effect) > abs(within_effect) as is_mostly_mix,
    from contributions
    inner join symptoms
        on
            {{ same_slo('contributions', 'symptoms') }}
            and contributions.dimension = symptoms.dimension
    inner join measures
        on
            contributions.slo = measures.slo
            and contributions.scope = measures.scope
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
                    '{:.2f} were asked per artifact ({:.2f} before)', amount_now, amount_before
                )
            else format(
                case
                    when told_rate is not null and not is_mostly_mix then told_rate
                    when share_before_text is null then replace(told_share, ' ({5})', '')
                    else told_share
                end,
                segment,
                rate_text,
                format('{:,.0f}', coalesce(denominator_now, 0)),
                rate_before_text,
                share_now_text,
                coalesce(share_before_text, '')
            )
        end as sentence,
        row_number() over (
            partition by slo, scope, subject
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
