with attempts as (
    select * from {{ ref('stg_fallback_attempts') }}
    where artifact_key is not null
),

timed as (
    select
        run_id,
        artifact_key,
        min(ts) as first_attempt_ts,
        first(elapsed_ms order by ts, attempt_id, file_id) as first_attempt_elapsed_ms,
        min(ts) filter (outcome = 'success') as first_success_ts,
        first(resolver order by ts, attempt_id, file_id) filter (outcome = 'success') as resolver,
        count(*) as attempts,
    from attempts
    group by all
),

final as (
    select
        run_id,
        artifact_key,
        resolver,
        {{ utc_timestamp('first_attempt_ts') }} as first_attempt_at,
        cast({{ utc_timestamp('first_attempt_ts') }} as date) as day,
        (first_success_ts - first_attempt_ts) * 1000 as ttfp_ms,
        -- attempts are logged when they end: the first one began its own length earlier
        (first_success_ts - first_attempt_ts) * 1000
        + case when first_success_ts is not null then coalesce(first_attempt_elapsed_ms, 0) end
            as ttfp_wall_ms,
        attempts,
    from timed
)

select * from final
