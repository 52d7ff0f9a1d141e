{%- set looked_back = asked('trend_periods', 'bigint', var('trend_periods')) -%}
-- Each period that a reader looks back at has a point of each SLI, measured or not.
with targets as (
    select * from {{ ref('int_slo_targets') }}
),

moment as (
    select as_of from {{ ref('int_moment') }}
),

runs as (
    select * from {{ ref('int_runs') }}
),

numbers as (
    select * from {{ ref('trend_numbers') }}
),

-- days and weeks without a run are gaps; a clock set wrong makes no more of them than are asked for
calendar as (
    select
        grain,
        unnest(range({{ looked_back }})) as step,
        max(measured_as::date) - (step * if(grain = 'week', 7, 1))::integer as starts_on,
        min(measured_as::date) as first_on,
    from numbers
    where grain <> 'run'
    group by grain
),

periods as (
    select
        'run' as grain,
        run_id as measured_as,
        run_id as period,
        last_event_at as period_at,
        row_number() over (order by last_event_at desc, run_id desc) as place,
    from runs
    cross join moment
    where last_event_at <= as_of
    qualify place <= {{ looked_back }}
    union all
    select
        grain,
        starts_on::varchar as measured_as,
        if(grain = 'week', strftime(starts_on, '%G-W%V'), measured_as) as period,
        starts_on::timestamp as period_at,
        step + 1 as place,
    from calendar
    where starts_on >= first_on
),

-- numbers of the periods that are looked at, each under its period's name
within as (
    select
        periods.period,
        numbers.* exclude (measured_as, measure),
        numbers.measure as slo,
    from numbers
    inner join periods
        on numbers.grain = periods.grain and numbers.measured_as = periods.measured_as
    where
        list_contains({{ asked('trend_scopes', 'varchar[]', '[numbers.scope]') }}, numbers.scope)
),

-- SLIs have targets, or a unit in their name; what else there is are counts that they rest on
series as (
    select
        grain,
        scope,
        subject,
        slo,
    from within
    where
        regexp_matches(slo, '_(pct|ms|mb)$')
        or slo in (select targets.slo from targets)
    union
    select
        periods.grain,
        targets.scope,
        targets.subject,
        targets.slo,
    from targets
    cross join periods
    where
        (targets.scope = 'run' or targets.subject is not null)
        and list_contains({{ asked('trend_scopes', 'varchar[]', '[scope]') }}, scope)
),

judged_by as (
    select
        series.*,
        targets.comparator,
        targets.target,
        targets.sample,
        coalesce(
            targets.unit,
            case regexp_extract(series.slo, '_([a-z]+)$', 1)
                when 'pct' then '%'
                when 'ms' then 'ms'
                when 'mb' then 'MiB'
                else ''
            end
        ) as unit,
    from series
    left join targets
        on
            series.slo = targets.slo
            and series.scope = targets.scope
            and (targets.subject is null or series.subject = targets.subject)
    {{ most_specific(['series.grain', 'series.scope', 'series.subject', 'series.slo'], 'targets') }}
),

final as (
    select
        periods.grain,
        periods.period,
        periods.period_at,
        periods.place,
        judged_by.scope,
        judged_by.subject,
        judged_by.slo,
        judged_by.comparator,
        judged_by.target,
        judged_by.unit,
        numbers.amount as value,
        samples.amount as sample_size,
        case
            when value is null then 'no_data'
            when target is null then 'no_target'
            when {{ meets('value', 'comparator', 'target') }} then 'pass'
            else 'fail'
        end as status,
    from periods
    inner join judged_by on periods.grain = judged_by.grain
    left join within as numbers
        on
            {{ same_slo('judged_by', 'numbers') }}
            and periods.grain = numbers.grain
            and periods.period = numbers.period
    left join within as samples
        on
            judged_by.sample = samples.slo
            and judged_by.scope = samples.scope
            and judged_by.subject is not distinct from samples.subject
            and periods.grain = samples.grain
            and periods.period = samples.period
)

select * from final
