-- Each period that a reader looks back at has a point of each SLI, measured or not.
with targets as (
    select * from {{ ref('int_slo_targets') }}
),

moment as (
    select as_of from {{ ref('int_moment') }}
),

runs as (
    select
        run_id,
        last_event_at,
    from {{ ref('int_runs') }}
),

run_numbers as (
    select * from {{ ref('slo_measurements') }}
),

resolver_slis as (
    select
        run_id,
        resolver,
        columns(* exclude (run_id, resolver))::double,
    from {{ ref('resolver_slis') }}
),

period_numbers as (
    select * from {{ ref('int_period_slis') }}
),

looked_back as (
    select {{ asked('trend_periods', 'bigint', var('trend_periods')) }} as periods
),

latest_runs as (
    select
        'run' as grain,
        runs.run_id as period,
        runs.last_event_at as ends_at,
        null::date as starts_on,
        row_number() over (order by runs.last_event_at desc, runs.run_id desc) as place,
    from runs
    cross join moment
    where runs.last_event_at <= moment.as_of
),

first_and_last as (
    select
        grain,
        min(starts_on) as first_on,
        max(starts_on) as last_on,
    from period_numbers
    group by grain
),

-- days and weeks without a run are gaps; a clock set wrong makes no more of them than are asked for
calendar as (
    select
        first_and_last.grain,
        steps.step + 1 as place,
        (
            first_and_last.last_on - (steps.step * if(first_and_last.grain = 'week', 7, 1))::integer
        )::date as starts_on,
    from first_and_last
    cross join looked_back
    cross join unnest(range(looked_back.periods)) as steps (step)
    where
        first_and_last.last_on - (steps.step * if(first_and_last.grain = 'week', 7, 1))::integer
        >= first_and_last.first_on
),

periods as (
    select
        latest_runs.grain,
        latest_runs.period,
        latest_runs.ends_at as period_at,
        latest_runs.starts_on,
        latest_runs.place,
    from latest_runs
    cross join looked_back
    where latest_runs.place <= looked_back.periods
    union all
    select
        grain,
        if(grain = 'week', strftime(starts_on, '%G-W%V'), starts_on::varchar) as period,
        starts_on::timestamp as period_at,
        starts_on,
        place,
    from calendar
),

of_resolvers as (
    from resolver_slis
    unpivot (amount for measure in (* exclude (run_id, resolver)))
),

numbers as (
    select
        'run' as grain,
        run_id as period,
        null::date as starts_on,
        scope,
        subject,
        measure,
        amount,
    from run_numbers
    union all
    select
        'run' as grain,
        run_id as period,
        null::date as starts_on,
        'run_resolver' as scope,
        resolver as subject,
        measure,
        amount,
    from of_resolvers
    union all
    select
        grain,
        null::varchar as period,
        starts_on,
        scope,
        subject,
        measure,
        amount,
    from period_numbers
),

-- numbers of the periods that are looked at, each under its period's name
within as (
    select
        periods.grain,
        periods.period,
        numbers.scope,
        numbers.subject,
        numbers.measure,
        numbers.amount,
    from numbers
    inner join periods
        on
            numbers.grain = periods.grain
            and coalesce(numbers.period, numbers.starts_on::varchar)
            = coalesce(periods.starts_on::varchar, periods.period)
    where
        list_contains({{ asked('trend_scopes', 'varchar[]', '[numbers.scope]') }}, numbers.scope)
),

-- SLIs have targets, or a unit in their name; what else there is are counts that they rest on
series as (
    select distinct
        grain,
        scope,
        subject,
        measure as slo,
    from within
    where
        regexp_matches(measure, '_(pct|ms|mb)$')
        or measure in (select targets.slo from targets)
    union
    select distinct
        periods.grain,
        targets.scope,
        targets.subject,
        targets.slo,
    from targets
    cross join periods
    where
        (targets.scope = 'run' or targets.subject is not null)
        and list_contains(
            {{ asked('trend_scopes', 'varchar[]', '[targets.scope]') }}, targets.scope
        )
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
    {{ most_specific(
        ['series.grain', 'series.scope', 'series.subject', 'series.slo'], 'targets'
    ) }}
),

expected as (
    select
        periods.period,
        periods.period_at,
        periods.place,
        judged_by.*,
    from periods
    inner join judged_by on periods.grain = judged_by.grain
),

measured as (
    select
        expected.*,
        numbers.amount as value,
        samples.amount as sample_size,
    from expected
    left join within as numbers
        on
            expected.grain = numbers.grain
            and expected.period = numbers.period
            and expected.scope = numbers.scope
            and expected.subject is not distinct from numbers.subject
            and expected.slo = numbers.measure
    left join within as samples
        on
            expected.grain = samples.grain
            and expected.period = samples.period
            and expected.scope = samples.scope
            and expected.subject is not distinct from samples.subject
            and expected.sample = samples.measure
),

final as (
    select
        grain,
        period,
        period_at,
        place,
        scope,
        subject,
        slo,
        comparator,
        target,
        unit,
        value,
        sample_size,
        case
            when value is null then 'no_data'
            when target is null then 'no_target'
            when {{ meets('value', 'comparator', 'target') }} then 'pass'
            else 'fail'
        end as status,
    from measured
)

select * from final
