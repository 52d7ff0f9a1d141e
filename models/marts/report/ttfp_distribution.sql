with bins as (
    select * from {{ ref('ttfp_histogram') }}
),

chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

sided as (
    select
        bins.place,
        bins.above_ms,
        bins.up_to_ms,
        bins.run_id = {{ diagnosed_run() }} as is_this_run,
        sum(bins.artifacts)::bigint as artifacts,
    from bins
    semi join chosen on bins.run_id = chosen.run_id
    where {{ diagnosed_run() }} is not null
    group by all
),

final as (
    select
        if(is_this_run, 'this run', 'runs before') as side,
        place,
        above_ms,
        up_to_ms,
        artifacts,
        {{ percentage('artifacts', 'sum(artifacts) over (partition by is_this_run)') }}
            as share_pct,
    from sided
)

select * from final
