with baselines as (

    select * from {{ ref('slo_baselines') }}

),

observations as (

    select * from {{ ref('slo_observations') }}
    where status <> 'no_data'

),

pins as (

    select * from {{ ref('pinned_slos') }}

),

asked_for as (

    select
        slo,
        scope,
        subject,
        comparator,
        target,
        unit,
        runs,
        observations,
        {{ asked('tune_share_pct', 'double', var('tune_share_pct')) }} as share_pct,
    from baselines

),

-- nearest rank: the smallest number of runs that is at least the share. In decimals, as
-- 0.1 + 0.2 is not 0.3 and a rank too low would meet less than was asked for.
counted as (

    select
        *,
        ceil(share_pct::decimal(9, 4) * runs / 100)::bigint as met_by_at_least,
    from asked_for

),

-- a run meets a target when each of its hosts does: its worst value is what counts of it
worst_of_runs as (

    select
        slo,
        scope,
        target_subject,
        comparator,
        run_id,
        if(comparator = '>=', min(value), max(value)) as value,
    from observations
    group by slo, scope, target_subject, comparator, run_id

),

-- the best run first
ranked as (

    select
        slo,
        scope,
        target_subject,
        value,
        row_number() over (
            partition by slo, scope, target_subject
            order by if(comparator = '>=', -value, value)
        ) as rank_of_value,
    from worst_of_runs

),

reached as (

    select
        counted.*,
        ranked.value as reached_value,
        least(
            {{ var('tune_digits') }} - 1 - floor(log10(nullif(abs(ranked.value), 0))), 15
        )::integer as decimals,
    from counted
    left join ranked
        on
            counted.slo = ranked.slo
            and counted.scope = ranked.scope
            and counted.subject is not distinct from ranked.target_subject
            and counted.met_by_at_least = ranked.rank_of_value
            and isfinite(ranked.value)

),

nearest as (

    select
        *,
        if(reached_value = 0, 0, round(reached_value, decimals)) as nearest_value,
        power(10.0, -decimals) as one_step,
    from reached

),

-- a step to the safe side, where rounding has moved the target out of the share's reach
rounded as (

    select
        *,
        case
            when comparator = '>=' and nearest_value > reached_value
                then round(nearest_value - one_step, decimals)
            when comparator = '<=' and nearest_value < reached_value
                then round(nearest_value + one_step, decimals)
            else nearest_value
        end as rounded_value,
    from nearest

),

decided as (

    select
        rounded.*,
        case
            when pins.reason is not null then pins.reason
            when comparator = '<=' and target = 0
                then 'a target of zero allows none, whatever share of runs has some'
        end as pin_reason,
        -- nobody wants to hear of each single one because nine in ten runs had none
        comparator = '<=' and rounded_value <= 0 and target > 0 as is_too_strict,
        -- more is better: zero is met by all; a share is never above 100 %
        rounded_value is null
        or (comparator = '>=' and rounded_value <= 0)
        or (comparator = '<=' and unit = '%' and rounded_value >= 100) as is_always_met,
        case
            when pin_reason is not null then 'pinned'
            when runs < {{ var('tune_runs_min') }} then 'too_few'
            when is_always_met then 'too_loose'
            when rounded_value = target or is_too_strict then 'kept'
            when (rounded_value > target) = (comparator = '>=') then 'tighter'
            else 'looser'
        end as proposal,
        case proposal
            when 'kept' then target
            when 'tighter' then rounded_value
            when 'looser' then rounded_value
        end as proposed_target,
    from rounded
    left join pins on rounded.slo = pins.slo

),

judged_anew as (

    select
        decided.slo,
        decided.scope,
        decided.subject,
        count(*) filter (observations.status = 'fail') as failing_now,
        count(distinct observations.run_id) filter (observations.status = 'fail')
            as runs_failing_now,
        count(*) filter (
            if(
                decided.comparator = '>=',
                observations.value < decided.proposed_target,
                observations.value > decided.proposed_target
            )
        ) as failing_then,
        count(distinct observations.run_id) filter (
            if(
                decided.comparator = '>=',
                observations.value < decided.proposed_target,
                observations.value > decided.proposed_target
            )
        ) as runs_failing_then,
    from decided
    left join observations
        on
            decided.slo = observations.slo
            and decided.scope = observations.scope
            and decided.subject is not distinct from observations.target_subject
    group by decided.slo, decided.scope, decided.subject

),

final as (

    select
        decided.slo,
        decided.scope,
        decided.subject,
        decided.comparator,
        decided.target,
        decided.unit,
        decided.share_pct,
        decided.runs,
        decided.observations,
        decided.reached_value,
        decided.proposal,
        decided.proposed_target,
        case
            when decided.proposal = 'pinned' then decided.pin_reason
            when decided.proposal = 'too_few'
                then format(
                    '{} of at least {} runs with data', decided.runs, {{ var('tune_runs_min') }}
                )
            when decided.proposal = 'too_loose' and decided.rounded_value is null
                then 'what the share reaches is not a finite number'
            when decided.proposal = 'too_loose'
                then format(
                    'the share meets no more than {} {:g} {}, which no run could miss',
                    decided.comparator,
                    decided.rounded_value,
                    decided.unit
                )
            when decided.is_too_strict then 'the share has none, and zero would allow none'
        end as reason,
        judged_anew.runs_failing_now,
        judged_anew.failing_now,
        if(decided.proposed_target is not null, judged_anew.runs_failing_then, null)
            as runs_failing_then,
        if(decided.proposed_target is not null, judged_anew.failing_then, null) as failing_then,
    from decided
    inner join judged_anew
        on
            decided.slo = judged_anew.slo
            and decided.scope = judged_anew.scope
            and decided.subject is not distinct from judged_anew.subject

)

select * from final
