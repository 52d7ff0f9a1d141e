with artifacts as (
    select * from {{ ref('int_artifact_ttfp') }}
),

-- in steps of 1, 2 and 5, in which people and targets count
edges as (
    select unnest({{ var('report_ttfp_edges_ms') }})::double as edge_ms
),

bins as (
    select
        lag(edge_ms) over (order by edge_ms) as above_ms,
        edge_ms as up_to_ms,
        row_number() over (order by edge_ms) as place,
    from edges
    union all
    select
        max(edge_ms) as above_ms,
        'infinity'::double as up_to_ms,
        count(*) + 1 as place,
    from edges
),

timed as (
    select distinct run_id
    from artifacts
    where ttfp_wall_ms is not null
),

final as (
    select
        timed.run_id,
        bins.place,
        bins.above_ms,
        nullif(bins.up_to_ms, 'infinity'::double) as up_to_ms,
        count(artifacts.ttfp_wall_ms) as artifacts,
    from timed
    cross join bins
    left join artifacts
        on
            timed.run_id = artifacts.run_id
            and (bins.above_ms is null or bins.above_ms < artifacts.ttfp_wall_ms)
            and bins.up_to_ms >= artifacts.ttfp_wall_ms
    group by all
)

select * from final
