with chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

targets as (
    select * from {{ ref('slo_targets') }}
    where slo = 'http_429_pct' and scope = 'run_host'
),

hours as (
    select
        host,
        hour_at,
        sum(network_requests) as network_requests,
        sum(http_429_requests) as http_429_requests,
        sum(http_5xx_requests + exceptions) as errors,
    from {{ ref('host_hours') }}
    where run_id in (select chosen.run_id from chosen)
    group by host, hour_at
),

span as (
    select epoch(max(hour_at) - min(hour_at)) / 3600 + 1 as span_hours
    from hours
),

-- the shortest of the lengths that people count in which gives no more cells than can be told apart
sized as (
    select
        coalesce(
            min(lengths.cell_hours) filter (
                span.span_hours <= lengths.cell_hours * {{ var('report_heat_cells') }}
            ),
            168 * ceil(any_value(span.span_hours) / 168 / {{ var('report_heat_cells') }})
        )::bigint as cell_hours,
    from span
    cross join (select unnest([1, 3, 6, 24, 168]) as cell_hours) as lengths
),

ranked as (
    select
        host,
        row_number() over (
            order by
                sum(http_429_requests) + sum(errors) desc, sum(network_requests) desc, host asc
        ) as place,
    from hours
    group by host
),

named as (
    select
        hours.*,
        if(place <= {{ var('report_heat_hosts') }}, hours.host, null) as shown_host,
        least(place, {{ var('report_heat_hosts') }} + 1) as shown_place,
    from hours
    inner join ranked on hours.host = ranked.host
),

cells as (
    select
        shown_host as host,
        shown_place as place,
        -- weeks begin on Mondays, as 2001-01-01 was one
        time_bucket(to_hours(cell_hours), hour_at, timestamp '2001-01-01') as cell_at,
        cell_hours,
        count(distinct named.host) as hosts,
        sum(named.network_requests) as network_requests,
        sum(named.http_429_requests) as http_429_requests,
        sum(named.errors) as errors,
        {{ percentage('sum(named.http_429_requests)', 'sum(named.network_requests)') }}
            as http_429_pct,
        {{ percentage('sum(named.errors)', 'sum(named.network_requests)') }} as error_pct,
    from named
    cross join sized
    group by all
),

final as (
    select
        cells.*,
        coalesce(own.target, usual.target) as http_429_target,
        -- 0 is none, 1 within the target (or without one), then up to 2, 5, 10 times it, and more
        {{ heat_level('http_429_pct', [
            '0', 'http_429_target', '2 * http_429_target', '5 * http_429_target',
            '10 * http_429_target'
        ]) }} as http_429_level,
        -- errors have no target
        {{ heat_level('error_pct', [0, 2, 5, 10, 25]) }} as error_level,
    from cells
    left join targets as own on cells.host = own.subject
    left join targets as usual on usual.subject is null
)

select * from final
