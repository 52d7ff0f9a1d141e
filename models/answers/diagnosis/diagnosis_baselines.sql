-- The runs that the diagnosed one is compared with. A run ends with its last event.
with runs as (
    select
        run_id,
        started_at,
        last_event_at,
    from {{ ref('run_inventory') }}
),

usual as (
    select baseline_run_id as run_id from {{ ref('regression_baselines') }}
    where run_id = {{ diagnosed_run() }}
),

diagnosed as (
    select * from runs
    where run_id = {{ diagnosed_run() }}
),

earlier as (
    select
        runs.*,
        diagnosed.started_at as diagnosed_started_at,
        row_number() over (order by runs.last_event_at desc, runs.run_id desc) = 1 as is_previous,
    from runs
    cross join diagnosed
    where (runs.last_event_at, runs.run_id) < (diagnosed.last_event_at, diagnosed.run_id)
),

final as (
    select
        runs.run_id,
        runs.started_at,
        runs.last_event_at,
    from runs
    left join earlier on runs.run_id = earlier.run_id
    where
        runs.run_id <> {{ diagnosed_run() }}
        and case {{ diagnosed_against() }}
            when 'previous' then coalesce(earlier.is_previous, false)
            when 'last-week'
                then coalesce(
                    earlier.last_event_at >= earlier.diagnosed_started_at - interval 7 days
                    and earlier.last_event_at < earlier.diagnosed_started_at,
                    false
                )
            when 'baseline' then runs.run_id in (select usual.run_id from usual)
            else runs.run_id = {{ diagnosed_against() }}
        end
)

select * from final
