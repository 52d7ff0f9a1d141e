-- Facts of files come from whoever looked at them (the variable files_seen): no table has them.
with seen as (
    select unnest(
        from_json(
            {{ asked('files_seen', 'varchar', "'[]'") }},
            '[{"path": "varchar", "bytes": "bigint", "wal_bytes": "bigint", "free_bytes": "bigint",
            "limit_asked": "bigint", "today": "date", "days": [{"day": "date", "bytes": "bigint"}]}]'
        ),
        max_depth := 2
    )
),

windows as (
    select unnest({{ var('storage_growth_days') }}) as window_days
),

days as (
    select
        path,
        each_day['day'] as day,
        each_day['bytes'] as bytes,
    from (
        select
            path,
            unnest(days) as each_day,
        from seen
    ) as unnested
),

first_days as (
    select
        path,
        min(day) as first_day,
    from days
    group by path
),

-- whole days only; a file whose first event is younger than the window is judged by the days since
spans as (
    select
        seen.path,
        windows.window_days,
        if(
            first_days.first_day is null,
            null,
            greatest(seen.today - windows.window_days::integer, first_days.first_day)
        ) as from_day,
        seen.today as to_day,
    from seen
    cross join windows
    left join first_days on seen.path = first_days.path
),

rates as (
    select
        spans.path,
        spans.window_days,
        case
            when spans.to_day > spans.from_day
                then coalesce(sum(days.bytes), 0) / (spans.to_day - spans.from_day)
        end as bytes_per_day,
    from spans
    left join days
        on
            spans.path = days.path
            and spans.from_day <= days.day
            and spans.to_day > days.day
    group by spans.path, spans.window_days, spans.from_day, spans.to_day
),

-- the date is by the shortest window in which the file grew
growths as (
    select
        path,
        list(struct_pack(days := window_days, bytes_per_day := bytes_per_day) order by window_days)
            as growth,
        case
            when count(bytes_per_day) > 0
                then coalesce(arg_min(bytes_per_day, window_days) filter (bytes_per_day > 0), 0)
        end as rate,
    from rates
    group by path
),

measured as (
    select
        seen.path,
        seen.bytes,
        seen.wal_bytes,
        seen.free_bytes,
        seen.today,
        seen.bytes - coalesce(seen.free_bytes, 0) as used_bytes,
        coalesce(seen.limit_asked, {{ var('file_limit_mb') }} * 1000000::bigint) as limit_bytes,
        greatest(limit_bytes, {{ var('file_far_over_mb') }} * 1000000::bigint) as far_over_bytes,
        coalesce(growths.growth, []) as growth,
        growths.rate,
        (limit_bytes - used_bytes) / nullif(growths.rate, 0) as days_left,
    from seen
    left join growths on seen.path = growths.path
),

final as (
    select
        path,
        limit_bytes,
        case
            when bytes + wal_bytes <= limit_bytes then 'good'
            when bytes + wal_bytes <= far_over_bytes then 'warning'
            else 'bad'
        end as size_status,
        growth,
        case
            when used_bytes >= limit_bytes then 'reached'
            when rate is null then 'no_data'
            when rate <= 0 then 'not_growing'
            when days_left > 36500 then 'not_in_a_century'
            else 'dated'
        end as outlook,
        case outlook
            when 'reached' then today
            when 'dated' then today + floor(days_left)::integer
        end as limit_reached_on,
    from measured
)

select * from final
