with baselines as (
    select * from {{ ref('slo_baselines') }}
),

observations as (
    select * from {{ ref('slo_observations') }}
    where status <> 'no_data'
),

runs as (
    select * from {{ ref('slo_run_values') }}
),

pins as (
    select * from {{ ref('pinned_slos') }}
),

-- the best run first
sorted as (
    select
        slo,
        scope,
        target_subject,
        list(value order by if(comparator = '>=', -value, value)) as of_all,
        list(value order by if(comparator = '>=', -value, value)) filter (not is_outlier)
            as of_counted,
        list(run_id order by run_id) filter (is_outlier) as runs_left_out,
    from runs
    group by all
),

reached as (
    select
        baselines.*,
        {{ asked('tune_share_pct', 'double', var('tune_share_pct')) }} as share_pct,
        {{ nearest_rank('sorted.of_counted', 'share_pct') }} as reached_value,
        {{ nearest_rank('sorted.of_all', 'share_pct') }} as reached_by_all,
        coalesce(sorted.runs_left_out, []) as runs_left_out,
    from baselines
    left join sorted on {{ same_slo('baselines', 'sorted', subject='target_subject') }}
),

rounded as (
    select
        *,
        {{ rounded_target('reached_value', 'comparator') }} as rounded_value,
        {{ rounded_target('reached_by_all', 'comparator') }} as rounded_by_all,
    from reached
),

decided as (
    select
        rounded.*,
        -- where the runs left out make no difference, there is nothing to tell of them
        nullif(rounded_by_all, rounded_value) as pulled_target,
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
        case
            when proposal = 'pinned' then pin_reason
            when proposal = 'too_few'
                then format('{} of at least {} runs with data', runs, {{ var('tune_runs_min') }})
            when proposal = 'too_loose' and rounded_value is null
                then 'what the share reaches is not a finite number'
            when proposal = 'too_loose'
                then format(
                    'the share meets no more than {} {:g} {}, which no run could miss',
                    comparator, rounded_value, unit
                )
            when is_too_strict then 'the share has none, and zero would allow none'
        end as reason,
    from rounded
    left join pins on rounded.slo = pins.slo
),

failing_then as (
    select
        decided.slo,
        decided.scope,
        decided.subject,
        count(distinct observations.run_id) as runs,
        count(*) as observations,
    from decided
    inner join observations
        on
            {{ same_slo('decided', 'observations', subject='target_subject') }}
            and not {{ meets('observations.value', 'decided.comparator', 'proposed_target') }}
    group by all
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
        decided.reason,
        decided.runs_failing as runs_failing_now,
        decided.observations_failing as failing_now,
        if(proposed_target is null, null, coalesce(failing_then.runs, 0)) as runs_failing_then,
        if(proposed_target is null, null, coalesce(failing_then.observations, 0)) as failing_then,
    from decided
    left join failing_then on {{ same_slo('decided', 'failing_then') }}
)

select * from final
