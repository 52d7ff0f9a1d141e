with slices as (
    select * from {{ ref('int_budget_slices') }}
),

moment as (
    select as_of from {{ ref('int_moment') }}
),

promised as (
    select * from {{ ref('int_slo_targets') }}
),

-- an hour that is half outside the window counts whole, so that a bad one is not forgotten the
-- moment it ends
within as (
    select * from slices
    where hour_at + to_hours(1) > as_of - to_seconds(window_days * 86400)
),

summed as (
    select
        slo,
        scope,
        subject,
        max(objective_pct) as objective_pct,
        last(target order by hour_at, run_id) as target,
        count(distinct run_id) as runs,
        count(*) filter (is_judged) as slices_judged,
        count(*) filter (status = 'bad') as slices_bad,
        count(*) filter (status = 'no_data') as slices_no_data,
        count(*) filter (status = 'too_few') as slices_too_few,
        sum(counted) as counted,
    from within
    group by all
),

-- an SLO that nothing was measured for has a row to say so
expected as (
    select
        slo,
        scope,
        subject
    from summed
    union
    select
        slo,
        scope,
        subject
    from promised
    where
        scope = 'run'
        or subject is not null
        or not exists (
            select 1 from summed
            where summed.slo = promised.slo and summed.scope = promised.scope
        )
),

settled as (
    select
        expected.slo,
        expected.scope,
        expected.subject,
        specific.comparator,
        specific.unit,
        if(
            bool_or(specific.good is not null) over (partition by expected.slo, expected.scope),
            'events', 'slices'
        ) as counted_in,
        specific.sample,
        specific.smallest_sample,
        coalesce(summed.objective_pct, specific.objective_pct) as objective_pct,
        specific.window_days,
        coalesce(
            summed.target, getvariable('asked_targets')[expected.slo], specific.target
        )::double as target,
        coalesce(summed.runs, 0) as runs,
        coalesce(summed.slices_judged, 0) as slices_judged,
        coalesce(summed.slices_bad, 0) as slices_bad,
        coalesce(summed.slices_no_data, 0) as slices_no_data,
        coalesce(summed.slices_too_few, 0) as slices_too_few,
        summed.counted,
    from expected
    inner join promised as specific
        on
            expected.slo = specific.slo
            and expected.scope = specific.scope
            and (specific.subject is null or expected.subject = specific.subject)
    left join summed
        on {{ same_slo('expected', 'summed') }}
    {{ most_specific(['expected.slo', 'expected.scope', 'expected.subject'], 'specific') }}
),

allowed as (
    select
        *,
        -- rounded: 1,000 slices at 99.9 % allow one, not 0.9999999999999432
        round(
            case
                when counted_in = 'slices' then 100 - objective_pct
                when comparator = '>=' then greatest(100 - target, 0)
                else greatest(target, 0)
            end, 9
        ) as allowed_pct,
        round(slices_judged * (100 - objective_pct) / 100, 9) as slices_allowed,
        -- so many that one may be bad; 100 % allow none, however many there are
        ceil(round(100 / nullif(round(100 - objective_pct, 9), 0), 9))::bigint as slices_needed,
    from settled
),

running as (
    select
        slo,
        scope,
        subject,
        hour_at,
        round(
            sum(bad) over (
                partition by slo, scope, subject
                order by hour_at, run_id rows unbounded preceding
            ), 9
        ) as bad_so_far,
    from within
    where bad > 0
),

spent as (
    select
        allowed.slo,
        allowed.scope,
        allowed.subject,
        any_value(round(allowed.counted * allowed.allowed_pct / 100, 9)) as allowed,
        coalesce(max(running.bad_so_far), 0) as bad,
        -- the first hour that the budget had no room for
        min(running.hour_at) filter (
            running.bad_so_far > round(allowed.counted * allowed.allowed_pct / 100, 9)
        ) as ran_out_at,
    from allowed
    left join running
        on {{ same_slo('allowed', 'running') }}
    group by all
),

stated as (
    select
        allowed.*,
        spent.allowed,
        spent.bad,
        spent.ran_out_at,
        if(
            allowed.counted_in = 'events',
            case
                when coalesce(allowed.counted, 0) = 0 then 'no_data'
                when allowed.counted < allowed.smallest_sample then 'too_few_events'
            end,
            case
                when allowed.slices_judged + allowed.slices_too_few = 0 then 'no_data'
                when allowed.slices_judged < coalesce(allowed.slices_needed, 1)
                    then 'too_few_slices'
            end
        ) as unknown,
        coalesce(unknown, if(spent.bad > spent.allowed, 'overspent', 'within')) as state,
    from allowed
    inner join spent
        on {{ same_slo('allowed', 'spent') }}
),

final as (
    select
        stated.slo,
        stated.scope,
        stated.subject,
        moment.as_of,
        moment.as_of - to_seconds(stated.window_days * 86400) as window_start_at,
        stated.comparator,
        stated.target,
        stated.unit,
        stated.objective_pct,
        stated.window_days,
        stated.runs,
        stated.counted_in,
        stated.sample,
        stated.smallest_sample,
        stated.state,
        stated.slices_judged,
        stated.slices_bad,
        stated.slices_no_data,
        stated.slices_too_few,
        stated.slices_needed,
        stated.slices_allowed,
        {{ percentage('stated.slices_bad', 'stated.slices_judged') }} as slices_bad_pct,
        stated.allowed_pct,
        -- where nothing may be bad, and something is, no share says how much is overspent
        case
            when stated.unknown is not null then null
            when stated.allowed > 0 then 1 - stated.bad / stated.allowed
            when stated.bad = 0 then 1
        end::double as budget_remaining_ratio,
        if(stated.state = 'overspent', stated.ran_out_at, null) as ran_out_at,
        if(stated.counted_in = 'events', stated.counted, null) as valid_events,
        if(valid_events is not null, stated.bad, null) as events_bad,
        if(valid_events is not null, stated.allowed, null) as events_allowed,
        if(stated.counted_in = 'events', budget_remaining_ratio, null)
            as event_budget_remaining_ratio,
    from stated
    cross join moment
)

select * from final
