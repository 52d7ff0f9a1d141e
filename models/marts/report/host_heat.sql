with chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

targets as (
    select
        subject,
        target,
    from {{ ref('slo_targets') }}
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
        if(ranked.place <= {{ var('report_heat_hosts') }}, hours.host, null) as shown_host,
        if(ranked.place <= {{ var('report_heat_hosts') }}, ranked.place, null) as shown_place,
    from hours
    inner join ranked on hours.host = ranked.host
),

cells as (
    select
        named.shown_host as host,
        coalesce(named.shown_place, {{ var('report_heat_hosts') }} + 1) as place,
        -- weeks begin on Mondays, as 2001-01-01 was one
        time_bucket(
            to_hours(sized.cell_hours), named.hour_at, timestamp '2001-01-01'
        ) as cell_at,
        sized.cell_hours,
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
        case
            when cells.http_429_pct is null then null
            when cells.http_429_pct = 0 then 0
            when coalesce(cells.http_429_pct <= http_429_target, true) then 1
            when cells.http_429_pct <= 2 * http_429_target then 2
            when cells.http_429_pct <= 5 * http_429_target then 3
            when cells.http_429_pct <= 10 * http_429_target then 4
            else 5
        end as http_429_level,
        -- errors have no target
        case
            when cells.error_pct is null then null
            when cells.error_pct = 0 then 0
            when cells.error_pct <= 2 then 1
            when cells.error_pct <= 5 then 2
            when cells.error_pct <= 10 then 3
            when cells.error_pct <= 25 then 4
            else 5
        end as error_level,
    from cells
    left join targets as own on cells.host = own.subject
    left join targets as usual on usual.subject is null
)

select * from final
