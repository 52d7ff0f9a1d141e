with verdicts as (

    select * from {{ ref('slo_slice_verdicts') }}

),

moment as (

    select as_of from {{ ref('int_moment') }}

),

promised as (

    select * from {{ ref('slo_targets') }}

),

-- the hours that overlap the window: the running one counts with what it has recorded, and one
-- that is half outside counts whole, so that a bad hour is not forgotten the moment it ends
within as (

    select
        verdicts.*,
        moment.as_of,
        status in ('good', 'bad') as is_judged,
        case when verdicts.good_events is not null then verdicts.sample_size end as valid_events,
    from verdicts
    cross join moment
    where
        (verdicts.scope = 'run' or verdicts.subject is not null)
        and verdicts.hour_at < moment.as_of
        and verdicts.hour_at + to_hours(1)
        > moment.as_of - to_seconds(verdicts.window_days * 86400)

),

counted as (

    select
        slo,
        scope,
        subject,
        max(objective_pct) as objective_pct,
        count(distinct run_id) as runs,
        count(*) filter (is_judged) as slices_judged,
        count(*) filter (status = 'bad') as slices_bad,
        count(*) filter (status = 'no_data') as slices_no_data,
        count(*) filter (status = 'too_few') as slices_too_few,
        list(hour_at order by hour_at) filter (status = 'bad') as bad_hours,
        sum(valid_events) as valid_events,
        sum(good_events) as good_events,
        max_by(target, hour_at) as target,
    from within
    group by all

),

-- an SLO that nothing was measured for has a row to say so
expected as (

    select
        slo,
        scope,
        subject
    from counted
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
            select 1 from counted
            where counted.slo = promised.slo and counted.scope = promised.scope
        )

),

settled as (

    select
        expected.slo,
        expected.scope,
        expected.subject,
        specific.comparator,
        specific.unit,
        coalesce(counted.objective_pct, specific.objective_pct) as objective_pct,
        specific.window_days,
        coalesce(
            counted.target, getvariable('asked_targets')[expected.slo], specific.target
        )::double as target,
        coalesce(counted.runs, 0) as runs,
        coalesce(counted.slices_judged, 0) as slices_judged,
        coalesce(counted.slices_bad, 0) as slices_bad,
        coalesce(counted.slices_no_data, 0) as slices_no_data,
        coalesce(counted.slices_too_few, 0) as slices_too_few,
        counted.bad_hours,
        counted.valid_events,
        counted.good_events,
    from expected
    inner join promised as specific
        on
            expected.slo = specific.slo
            and expected.scope = specific.scope
            and (specific.subject is null or expected.subject = specific.subject)
    left join counted
        on
            expected.slo = counted.slo
            and expected.scope = counted.scope
            and expected.subject is not distinct from counted.subject
    qualify row_number() over (
        partition by expected.slo, expected.scope, expected.subject
        order by specific.subject is null
    ) = 1

),

allowed as (

    select
        *,
        -- rounded: 1,000 slices at 99.9 % allow one, not 0.9999999999999432
        round(slices_judged * (100 - objective_pct) / 100, 9) as slices_allowed,
        valid_events * if(comparator = '>=', 100 - target, target) / 100 as events_allowed,
        valid_events - good_events as events_bad,
    from settled

),

final as (

    select
        allowed.slo,
        allowed.scope,
        allowed.subject,
        moment.as_of,
        moment.as_of - to_seconds(allowed.window_days * 86400) as window_start_at,
        allowed.comparator,
        allowed.target,
        allowed.unit,
        allowed.objective_pct,
        allowed.window_days,
        allowed.runs,
        allowed.slices_judged,
        allowed.slices_bad,
        allowed.slices_no_data,
        allowed.slices_too_few,
        allowed.slices_allowed,
        {{ percentage('allowed.slices_bad', 'allowed.slices_judged') }} as slices_bad_pct,
        1 - allowed.slices_bad / nullif(allowed.slices_allowed, 0) as budget_remaining_ratio,
        -- the first bad slice that the budget had no room for
        allowed.bad_hours[(floor(allowed.slices_allowed) + 1)::bigint] as ran_out_at,
        allowed.valid_events,
        allowed.events_bad,
        allowed.events_allowed,
        1 - allowed.events_bad / nullif(allowed.events_allowed, 0) as event_budget_remaining_ratio,
    from allowed
    cross join moment

)

select * from final
