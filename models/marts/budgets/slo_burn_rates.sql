with slices as (
    select * from {{ ref('budget_slices') }}
    where counted is not null
),

windows as (
    select long_hours as window_hours from {{ ref('burn_rate_alerts') }}
    union
    select short_hours as window_hours from {{ ref('burn_rate_alerts') }}
),

budgets as (
    select * from {{ ref('slo_budgets') }}
),

-- what no window can hold is left out before the windows are joined
recent as (
    select * from slices
    where
        hour_at + to_hours(1)
        > as_of - to_hours((select max(windows.window_hours) from windows))
),

summed as (
    select
        slo,
        scope,
        subject,
        window_hours,
        count(*) filter (is_judged) as slices_judged,
        count(*) filter (status = 'bad') as slices_bad,
        sum(counted) as counted,
        sum(bad) as bad,
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
        coalesce(summed.slices_judged, 0) as slices_judged,
        coalesce(summed.slices_bad, 0) as slices_bad,
        -- 1 spends just all of the budget within its window
        case
            when budgets.counted_in = 'events' and summed.counted < budgets.smallest_sample
                then null
            when budgets.slices_judged >= budgets.slices_needed
                then 100 * summed.bad / nullif(summed.counted, 0) / nullif(budgets.allowed_pct, 0)
        end as burn_rate,
    from budgets
    cross join windows
    left join summed
        on {{ same_slo('budgets', 'summed') }} and windows.window_hours = summed.window_hours
)

select * from final
