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

middles as (
    select
        slo,
        scope,
        target_subject,
        median(value) as middle,
    from worst_of_runs
    where isfinite(value)
    group by slo, scope, target_subject
),

deviations as (
    select
        worst_of_runs.*,
        if(comparator = '>=', middle - value, value - middle) as worse_by,
    from worst_of_runs
    left join middles
        on
            worst_of_runs.slo = middles.slo
            and worst_of_runs.scope = middles.scope
            and worst_of_runs.target_subject is not distinct from middles.target_subject
),

-- the standard deviation as the middle half of the runs has it, which a bad week does not move; by
-- the mean where most runs have one value (B. Iglewicz, D. Hoaglin 1993, "How to Detect and Handle
-- Outliers", section 3.3)
spreads as (
    select
        slo,
        scope,
        target_subject,
        count(*) as runs_measured,
        coalesce(
            nullif(1.4826 * median(abs(worse_by)), 0), 1.2533 * avg(abs(worse_by))
        ) as spread,
    from deviations
    where isfinite(value)
    group by slo, scope, target_subject
),

sorted_out as (
    select
        deviations.*,
        coalesce(
            spreads.runs_measured >= {{ var('tune_runs_min') }}
            and isfinite(deviations.value)
            and deviations.worse_by > spreads.spread
            * {{ asked('tune_outlier_spreads', 'double', var('tune_outlier_spreads')) }},
            false
        ) as is_left_out,
    from deviations
    left join spreads
        on
            deviations.slo = spreads.slo
            and deviations.scope = spreads.scope
            and deviations.target_subject is not distinct from spreads.target_subject
),

left_out as (
    select
        slo,
        scope,
        target_subject,
        list(run_id order by run_id) as run_ids,
    from sorted_out
    where is_left_out
    group by slo, scope, target_subject
),

-- the best run first: of those that count, and for comparison of all
ranked as (
    select
        slo,
        scope,
        target_subject,
        false as is_of_all,
        value,
        row_number() over (
            partition by slo, scope, target_subject
            order by if(comparator = '>=', -value, value)
        ) as rank_of_value,
    from sorted_out
    where not is_left_out
    union all
    select
        slo,
        scope,
        target_subject,
        true as is_of_all,
        value,
        row_number() over (
            partition by slo, scope, target_subject
            order by if(comparator = '>=', -value, value)
        ) as rank_of_value,
    from sorted_out
),

-- nearest rank: the smallest number of runs that is at least the share. In decimals, as
-- 0.1 + 0.2 is not 0.3 and a rank too low would meet less than was asked for.
counted as (
    select
        asked_for.*,
        variants.is_of_all,
        coalesce(left_out.run_ids, []) as runs_left_out,
        runs - if(variants.is_of_all, 0, len(runs_left_out)) as runs_counted,
        ceil(share_pct::decimal(9, 4) * runs_counted / 100)::bigint as met_by_at_least,
    from asked_for
    cross join (select unnest([true, false]) as is_of_all) as variants
    left join left_out
        on {{ same_slo('asked_for', 'left_out', subject='target_subject') }}
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
            {{ same_slo('counted', 'ranked', subject='target_subject') }}
            and counted.is_of_all = ranked.is_of_all
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

-- where the runs left out make no difference, there is nothing to tell of them
told as (
    select
        rounded.*,
        if(
            of_all.rounded_value is distinct from rounded.rounded_value,
            of_all.rounded_value,
            null
        ) as pulled_target,
    from rounded
    inner join rounded as of_all
        on
            {{ same_slo('rounded', 'of_all') }}
            and of_all.is_of_all
    where not rounded.is_of_all
),

decided as (
    select
        told.*,
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
    from told
    left join pins on told.slo = pins.slo
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
        on {{ same_slo('decided', 'observations', subject='target_subject') }}
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
        decided.runs_left_out,
        decided.pulled_target,
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
        on {{ same_slo('decided', 'judged_anew') }}
)

select * from final
