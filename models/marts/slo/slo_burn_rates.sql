with verdicts as (

    select * from {{ ref('slo_slice_verdicts') }}
    where status in ('good', 'bad')

),

moment as (

    select as_of from {{ ref('int_moment') }}

),

windows as (

    select long_hours as window_hours from {{ ref('burn_rate_alerts') }}
    union
    select short_hours as window_hours from {{ ref('burn_rate_alerts') }}

),

budgets as (

    select
        slo,
        scope,
        subject,
        objective_pct,
    from {{ ref('slo_budgets') }}

),

-- what no window can hold is left out before the windows are joined
recent as (

    select
        verdicts.*,
        moment.as_of,
    from verdicts
    cross join moment
    where
        verdicts.hour_at < moment.as_of
        and verdicts.hour_at + to_hours(1)
        > moment.as_of - to_hours((select max(windows.window_hours) from windows))

),

counted as (

    select
        recent.slo,
        recent.scope,
        recent.subject,
        windows.window_hours,
        count(*) as slices_judged,
        count(*) filter (recent.status = 'bad') as slices_bad,
    from recent
    inner join windows
        on recent.hour_at + to_hours(1) > recent.as_of - to_hours(windows.window_hours)
    group by all

),

final as (

    select
        budgets.slo,
        budgets.scope,
        budgets.subject,
        windows.window_hours,
        coalesce(counted.slices_judged, 0) as slices_judged,
        coalesce(counted.slices_bad, 0) as slices_bad,
        -- 1 spends just all of the budget within its window
        (100 * counted.slices_bad / counted.slices_judged) / round(100 - budgets.objective_pct, 9)
            as burn_rate,
    from budgets
    cross join windows
    left join counted
        on
            budgets.slo = counted.slo
            and budgets.scope = counted.scope
            and budgets.subject is not distinct from counted.subject
            and windows.window_hours = counted.window_hours

)

select * from final
