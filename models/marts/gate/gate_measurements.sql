with runs as (
    select run_id from {{ ref('int_chosen_runs') }}
),

-- what decides whether a run passes; single hosts do not
baselines as (
    select * from {{ ref('slo_baselines') }}
    where scope <> 'run_host'
),

violations as (
    select * from {{ ref('slo_violation_share') }}
    where scope <> 'run_host'
),

recorded as (
    select
        runs.*,
        recorders.* exclude (run_id),
        events_dropped + values_damaged is not null as says_what_was_lost,
    from runs
    left join {{ ref('recorder_verdicts') }} as recorders on runs.run_id = recorders.run_id
),

compared as (
    select
        runs.*,
        written.* exclude (run_id),
        status in ('within', 'beyond') as is_compared,
    from runs
    left join {{ ref('run_summary_differences') }} as written on runs.run_id = written.run_id
),

enough_runs as (
    select
        'enough_runs' as criterion,
        count(*)::double as value,
        true as is_complete,
        null as evidence,
    from runs
),

recorder_errors as (
    select
        'recorder_errors' as criterion,
        sum(coalesce(events_dropped, 0) + coalesce(values_damaged, 0))::double
        + count(first_error) as value,
        bool_and(says_what_was_lost) as is_complete,
        format(
            'runs with the recorder''s word: {} of {}, events dropped: {}, values not stored: {}, '
            || 'runs with an error: {}{}',
            count(*) filter (says_what_was_lost), count(*),
            coalesce(sum(events_dropped), 0), coalesce(sum(values_damaged), 0),
            count(first_error), coalesce(' (' || min(first_error) || ')', '')
        ) as evidence,
    from recorded
),

-- Each evidence names one row: the worst, and of several as bad the first by name.
overhead as (
    select
        'overhead' as criterion,
        max(overhead_pct) as value,
        bool_and(overhead_pct is not null or coalesce(is_short, false)) as is_complete,
        first(
            format(
                'run {}: {:.2f} % of the time in calls on the crawler''s threads, {:.2f} % of '
                || 'processor time in the writer; ',
                run_id, call_pct, writer_pct
            ) order by overhead_pct desc, run_id asc
        ) filter (overhead_pct is not null) as worst,
        coalesce(worst, '') || format(
            'runs measured: {} of {}, shorter than {} s: {}',
            count(overhead_pct), count(*),
            {{ var('overhead_run_s_min') }}, count(*) filter (is_short)
        ) as evidence,
    from recorded
),

sli_alignment as (
    select
        'sli_alignment' as criterion,
        if(bool_or(is_compared), count(*) filter (status = 'beyond'), null)::double as value,
        -- a run without any figure says nothing of the others
        count(distinct run_id) filter (is_compared) = count(distinct run_id) as is_complete,
        first(
            format(
                '; such as {} of run {}: {:.6g} written, {:.6g} measured',
                sli, run_id, recorded_value, measured_value
            ) order by run_id, sli
        ) filter (status = 'beyond') as worst,
        format(
            'figures compared: {} of {}, runs {} of {}{}',
            count(*) filter (is_compared), count(sli),
            count(distinct run_id) filter (is_compared), count(distinct run_id), coalesce(worst, '')
        ) as evidence,
    from compared
),

slo_surprises as (
    select
        'slo_surprises' as criterion,
        max(failing_pct) as value,
        bool_and(observations > 0) as is_complete,
        first(
            format(
                '{} fails most, in {} of {} runs', concat_ws(' ', slo, subject), runs_failing, runs
            ) order by failing_pct desc, runs_failing desc, slo asc, subject asc
        ) filter (failing_pct is not null) as worst,
        string_agg(
            concat_ws(' ', slo, subject), ', ' order by slo, subject
        ) filter (observations = 0) as without_data,
        concat(coalesce(worst, 'no SLO has data'), '; no data for ' || without_data) as evidence,
    from baselines
),

slo_violations as (
    select
        'slo_violations' as criterion,
        max(violation_pct) as value,
        bool_and(violation_pct is not null) as is_complete,
        first(
            format(
                '{} is missed most: {:.0f} of {:.0f} s, {} of {} runs',
                concat_ws(' ', slo, subject), failing_s, judged_s, runs_failing, runs
            ) order by violation_pct desc, failing_s desc, slo asc, subject asc
        ) filter (violation_pct is not null) as worst,
        string_agg(
            concat_ws(' ', slo, subject), ', ' order by slo, subject
        ) filter (violation_pct is null) as without_data,
        concat(coalesce(worst, 'no SLO has data'), '; no data for ' || without_data) as evidence,
    from violations
),

final as (
    {%- for criterion in [
        'enough_runs', 'recorder_errors', 'overhead', 'sli_alignment', 'slo_surprises',
        'slo_violations'
    ] %}
    select
        criterion,
        value,
        coalesce(is_complete, false) as is_complete,
        evidence,
    from {{ criterion }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
