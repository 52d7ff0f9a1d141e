-- What became of the metadata requests that the cache did not answer.
with events as (
    select * from {{ ref('stg_http_events') }}
    where
        role = 'metadata'
        and lacks_from_cache is not true
),

answered as (
    select
        run_id,
        case
            when coalesce(is_from_cache, false) then null
            when coalesce(is_revalidated, false) or status = 304 then 'revalidated'
            when coalesce(is_stale, false) then 'stale'
            when status is null then 'exception'
            else 'fetched ' || status
        end as segment,
        sum(if(coalesce(is_from_cache, false), 0, sample_weight)) as missed,
        sum(sample_weight) as requests,
    from events
    group by all
),

final as (
    select
        run_id,
        'cache_hit_pct' as slo,
        'run' as scope,
        null::varchar as subject,
        'answer' as dimension,
        'loss' as kind,
        'all' as route,
        segment,
        missed::double as numerator,
        missed::double as denominator,
        sum(requests::double) over (partition by run_id) as base,
    from answered
)

select * from final
