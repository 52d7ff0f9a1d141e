with recorded_times as (
    select * from {{ ref('recorded_times') }}
),

moment as (
    select epoch(as_of) as as_of_s from {{ ref('int_moment') }}
),

counted as (
    select
        table_name,
        count(*) as row_count,
        count(*) filter (where is_text) as text_times,
        -- the time of a download is optional
        count(*) filter (
            where seconds is null and (recorded is not null or table_name <> 'downloads')
        ) as unusable_times,
        min(recorded) filter (where seconds is null) as unusable_example,
        count(*) filter (where seconds > moment.as_of_s + {{ var('clock_ahead_s') }})
            as times_ahead,
        {{ utc_timestamp('max(seconds)') }} as latest_at,
    from recorded_times
    cross join moment
    group by table_name
),

-- ids rise as rows are written; downloads are updated, and their times with them
gaps as (
    select
        table_name,
        id,
        lag(seconds) over (partition by table_name, file_id, run_id order by id) - seconds
            as step_back_s,
    from recorded_times
    where seconds is not null and table_name <> 'downloads'
),

steps as (
    select
        table_name,
        count(*) as steps_back,
        max(step_back_s) as largest_step_s,
        arg_max(id, (step_back_s, -id)) as largest_step_id,
    from gaps
    where step_back_s > {{ var('clock_step_s') }}
    group by table_name
),

final as (
    select
        counted.table_name,
        counted.row_count,
        counted.text_times,
        counted.unusable_times,
        counted.unusable_example,
        counted.times_ahead,
        counted.latest_at,
        coalesce(steps.steps_back, 0) as steps_back,
        steps.largest_step_s,
        steps.largest_step_id,
    from counted
    left join steps on counted.table_name = steps.table_name
)

select * from final
