-- Of the moment at which it is read, and not of one run: so a view, beside metric_samples.
with budgets as (
    select * from {{ ref('slo_budgets') }}
),

burn_rates as (
    select * from {{ ref('slo_burn_rates') }}
),

-- single hosts fail no run: they count for an SLO that judges nothing else
counting as (
    select
        slo,
        coalesce(bool_or(scope <> 'run_host'), false) as is_of_runs,
    from budgets
    group by slo
),

-- an SLO of several roles or hosts is as good as the one that does worst
of_slos as (
    select
        budgets.slo,
        min(budgets.budget_remaining_ratio) as budget_remaining_ratio,
        -- NULL where the state of none is known
        max((budgets.state = 'overspent')::int) filter (
            budgets.state in ('within', 'overspent')
        ) as is_overspent,
    from budgets
    inner join counting on budgets.slo = counting.slo
    where budgets.scope <> 'run_host' or not counting.is_of_runs
    group by budgets.slo
),

of_windows as (
    select
        burn_rates.slo,
        burn_rates.window_hours,
        max(burn_rates.burn_rate) as burn_rate,
    from burn_rates
    inner join counting on burn_rates.slo = counting.slo
    where burn_rates.scope <> 'run_host' or not counting.is_of_runs
    group by burn_rates.slo, burn_rates.window_hours
),

samples as (
    select
        unnest([
            {{ sample(
                'docstokg_slo_error_budget_remaining_ratio', 'gauge', 'budget_remaining_ratio',
                'Error budget left of the window of the SLO: 1 all, 0 none, below 0 overspent.',
                {'slo': 'slo'}
            ) }},
            {{ sample(
                'docstokg_slo_error_budget_overspent', 'gauge', 'is_overspent',
                'Whether the error budget of the SLO is overspent: 1 yes, 0 no.',
                {'slo': 'slo'}
            ) }},
        ], max_depth := 2),
    from of_slos
    union all by name
    select
        unnest([
            {{ sample(
                'docstokg_slo_burn_rate', 'gauge', 'burn_rate',
                'Bad share of a window, over the share that the SLO allows.',
                {'slo': 'slo', 'window': "window_hours || 'h'"}
            ) }},
        ], max_depth := 2),
    from of_windows
),

-- no data is no series
final as (
    select
        name,
        type,
        help,
        labels,
        amount as value,
    from samples
    where isfinite(amount)
)

select * from final
