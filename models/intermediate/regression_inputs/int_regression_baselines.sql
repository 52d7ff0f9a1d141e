-- A run ends with its last event, and is held against those that had ended by then. Where a reader
-- asks for two runs to be compared, that one is the other's whole baseline.
with runs as (
    select
        run_id,
        last_event_at,
        row_number() over (order by last_event_at, run_id) as place,
    from {{ ref('int_runs') }}
),

chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

limits as (
    select * from {{ ref('int_baseline_window') }}
),

asked as (
    select
        chosen.run_id,
        runs.run_id as baseline_run_id,
    from chosen
    inner join runs on chosen.run_id <> runs.run_id
    where
        chosen.run_id = {{ diagnosed_run() }}
        and runs.run_id = {{ diagnosed_against() }}
        -- the word for what usual has, whatever a run is called
        and runs.run_id <> 'baseline'
),

usual as (
    select
        runs.run_id,
        earlier.run_id as baseline_run_id,
    from runs
    semi join chosen on runs.run_id = chosen.run_id
    cross join limits
    inner join runs as earlier
        on
            runs.place > earlier.place
            and runs.place <= earlier.place + limits.runs
            and runs.last_event_at <= earlier.last_event_at + to_seconds(limits.days * 86400)
    where runs.run_id not in (select asked.run_id from asked)
),

final as (
    from usual
    union all
    from asked
)

select * from final
