with runs as (
    select * from {{ ref('int_runs') }}
),

final as (
    select
        run_id,
        started_at,
        finished_at,
        first_event_at,
        last_event_at,
        length_s,
        is_finished,
        http_events,
        rate_events,
        breaker_transitions,
        fallback_attempts,
        downloads,
        source_path,
    from runs
)

select * from final
