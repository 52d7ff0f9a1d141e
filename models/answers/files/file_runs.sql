with recorded_times as (
    select * from {{ ref('recorded_times') }}
),

moment as (
    select epoch(as_of) as as_of_s from {{ ref('int_moment') }}
),

summaries as (
    select * from {{ ref('stg_run_summary') }}
),

recorders as (
    select * from {{ ref('stg_recorder_status') }}
),

events as (
    select
        run_id,
        {{ utc_timestamp('max(seconds)') }} as last_event_at,
    from recorded_times
    where seconds is not null and {{ non_blank('run_id') }} is not null
    group by run_id
),

ends as (
    select
        run_id,
        max(started_at) as started_at,
        max(finished_at) as finished_at,
    from summaries
    group by run_id
),

-- a writer that never writes the end of a run says nothing by not writing it
writers as (
    select
        exists (
            select 1 from ends
            where ends.finished_at is not null
        )
        or exists (select 1 from recorders) as writes_ends,
),

final as (
    select
        coalesce(events.run_id, ends.run_id) as run_id,
        events.last_event_at,
        ends.started_at,
        ends.finished_at,
        case
            when ends.finished_at < ends.started_at
                then epoch(ends.started_at) - epoch(ends.finished_at)
        end as ends_before_start_s,
        case
            when ends.finished_at is null
                then moment.as_of_s - epoch(events.last_event_at)
        end as silent_s,
        coalesce(silent_s > {{ var('silent_run_s') }}, false) as is_silent,
        writers.writes_ends,
    from events
    full join ends on events.run_id = ends.run_id
    cross join writers
    cross join moment
)

select * from final
