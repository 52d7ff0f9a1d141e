with moment as (
    select as_of from {{ ref('int_moment') }}
),

promised as (
    select * from {{ ref('int_slo_targets') }}
),

-- an hour that is half outside the window counts whole, so that a bad one is not forgotten the
-- moment it ends
within as (
    select
        *,
        round(sum(bad) over so_far, 9) as bad_so_far,
    from {{ ref('budget_slices') }}
    where hour_at + to_hours(1) > as_of - to_seconds(window_days * 86400)
    window so_far as (
        partition by slo, scope, subject order by hour_at, run_id rows unbounded preceding
    )
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
        max(bad_so_far) as bad,
        list({ 'hour_at': hour_at, 'bad': bad_so_far } order by hour_at, run_id) as spending,
    from within
    group by all
),

-- an SLO that nothing was measured for has a row to say so
expected as (
    select
        slo,
        scope,
        subject,
    from summed
    union
    select
        slo,
        scope,
        subject,
    from promised
    where
        scope = 'run' or subject is not null
        or (slo, scope) not in (select (summed.slo, summed.scope) from summed)
),

settled as (
    select
        expected.*,
        specific.* exclude (slo, scope, subject, good, objective_pct, target),
        coalesce(summed.objective_pct, specific.objective_pct) as objective_pct,
        coalesce(
            summed.target, getvariable('asked_targets')[expected.slo], specific.target
        )::double as target,
        coalesce(
            columns(
                summed.* exclude (slo, scope, subject, objective_pct, target, counted, spending)
            ), 0
        ),
        summed.counted,
        summed.spending,
    from expected
    inner join promised as specific
        on
            expected.slo = specific.slo
            and expected.scope = specific.scope
            and (specific.subject is null or expected.subject = specific.subject)
    left join summed on {{ same_slo('expected', 'summed') }}
    {{ most_specific(['expected.slo', 'expected.scope', 'expected.subject'], 'specific') }}
),

allowed as (
    select
        *,
        -- rounded: 1,000 slices at 99.9 % allow one, not 0.9999999999999432
        round(
            case
                when counted_in = 'slices' then 100 - objective_pct
                else greatest(if(comparator = '>=', 100 - target, target), 0)
            end, 9
        ) as allowed_pct,
        round(slices_judged * (100 - objective_pct) / 100, 9) as slices_allowed,
        -- so many that one may be bad; 100 % allow none, however many there are
        ceil(round(100 / nullif(round(100 - objective_pct, 9), 0), 9))::bigint as slices_needed,
        round(counted * allowed_pct / 100, 9) as allowed,
        -- the first hour that the budget had no room for
        list_filter(spending, lambda hour: hour['bad'] > allowed)[1].hour_at as ran_out_at,
        case
            when counted_in = 'events' and coalesce(counted, 0) = 0 then 'no_data'
            when counted_in = 'events' and counted < smallest_sample then 'too_few_events'
            when counted_in = 'events' then null
            when slices_judged + slices_too_few = 0 then 'no_data'
            when slices_judged < coalesce(slices_needed, 1) then 'too_few_slices'
        end as unknown,
    from settled
),

final as (
    select
        slo,
        scope,
        subject,
        as_of,
        as_of - to_seconds(window_days * 86400) as window_start_at,
        comparator,
        target,
        unit,
        objective_pct,
        window_days,
        runs,
        counted_in,
        sample,
        smallest_sample,
        coalesce(unknown, if(bad > allowed, 'overspent', 'within')) as state,
        slices_judged,
        slices_bad,
        slices_no_data,
        slices_too_few,
        slices_needed,
        slices_allowed,
        {{ percentage('slices_bad', 'slices_judged') }} as slices_bad_pct,
        allowed_pct,
        -- where nothing may be bad, and something is, no share says how much is overspent
        case
            when unknown is not null then null
            when allowed > 0 then 1 - bad / allowed
            when bad = 0 then 1
        end::double as budget_remaining_ratio,
        if(state = 'overspent', ran_out_at, null) as ran_out_at,
        if(counted_in = 'events', counted, null) as valid_events,
        if(valid_events is not null, bad, null) as events_bad,
        if(valid_events is not null, allowed, null) as events_allowed,
        if(counted_in = 'events', budget_remaining_ratio, null) as event_budget_remaining_ratio,
    from allowed
    cross join moment
)

select * from final
