with runs as (
    select run_id from {{ ref('int_chosen_runs') }}
),

recorders as (
    select * from {{ ref('recorder_verdicts') }}
),

differences as (
    select * from {{ ref('run_summary_differences') }}
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
        runs.run_id,
        recorders.events_dropped,
        recorders.values_damaged,
        recorders.first_error,
        recorders.events_dropped + recorders.values_damaged is not null as says_what_was_lost,
        recorders.call_pct,
        recorders.writer_pct,
        recorders.overhead_pct,
        recorders.is_short,
    from runs
    left join recorders on runs.run_id = recorders.run_id
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
        (
            sum(coalesce(events_dropped, 0) + coalesce(values_damaged, 0))
            + count(first_error)
        )::double as value,
        bool_and(says_what_was_lost) as is_complete,
        format(
            'runs with the recorder''s word: {} of {}, events dropped: {}, values not stored: {}, '
            || 'runs with an error: {}{}',
            count(*) filter (says_what_was_lost),
            count(*),
            coalesce(sum(events_dropped), 0),
            coalesce(sum(values_damaged), 0),
            count(first_error),
            coalesce(' (' || min(first_error) || ')', '')
        ) as evidence,
    from recorded
),

-- Each evidence names one row: the worst, and of several as bad the first by name.
worst_overhead as (
    select
        format(
            'run {}: {:.2f} % of the time in calls on the crawler''s threads, {:.2f} % of '
            || 'processor time in the writer; ',
            run_id,
            call_pct,
            writer_pct
        ) as sentence,
    from recorded
    where overhead_pct is not null
    qualify row_number() over (order by overhead_pct desc, run_id asc) = 1
),

overhead as (
    select
        'overhead' as criterion,
        max(overhead_pct) as value,
        bool_and(overhead_pct is not null or coalesce(is_short, false)) as is_complete,
        coalesce((select worst_overhead.sentence from worst_overhead), '')
        || format(
            'runs measured: {} of {}, shorter than {} s: {}',
            count(overhead_pct),
            count(*),
            {{ var('overhead_run_s_min') }},
            count(*) filter (is_short)
        ) as evidence,
    from recorded
),

compared as (
    select
        runs.run_id,
        differences.sli,
        differences.recorded_value,
        differences.measured_value,
        differences.status,
        differences.status in ('within', 'beyond') as is_compared,
    from runs
    left join differences on runs.run_id = differences.run_id
),

first_beyond as (
    select
        format(
            '; such as {} of run {}: {:.6g} written, {:.6g} measured',
            sli,
            run_id,
            recorded_value,
            measured_value
        ) as sentence,
    from compared
    where status = 'beyond'
    qualify row_number() over (order by run_id, sli) = 1
),

sli_alignment as (
    select
        'sli_alignment' as criterion,
        if(
            count(*) filter (is_compared) > 0,
            count(*) filter (status = 'beyond'),
            null
        )::double as value,
        -- a run without any figure says nothing of the others
        count(distinct run_id) filter (is_compared) = count(distinct run_id) as is_complete,
        format(
            'figures compared: {} of {}, runs {} of {}{}',
            count(*) filter (is_compared),
            count(sli),
            count(distinct run_id) filter (is_compared),
            count(distinct run_id),
            coalesce((select first_beyond.sentence from first_beyond), '')
        ) as evidence,
    from compared
),

most_failing as (
    select
        format(
            '{} fails most, in {} of {} runs', concat_ws(' ', slo, subject), runs_failing, runs
        ) as sentence,
    from baselines
    where failing_pct is not null
    qualify
        row_number() over (order by failing_pct desc, runs_failing desc, slo asc, subject asc) = 1
),

slo_surprises as (
    select
        'slo_surprises' as criterion,
        max(failing_pct) as value,
        bool_and(observations > 0) as is_complete,
        coalesce((select most_failing.sentence from most_failing), 'no SLO has data')
        || coalesce(
            '; no data for ' || string_agg(
                concat_ws(' ', slo, subject), ', ' order by slo, subject
            ) filter (observations = 0),
            ''
        ) as evidence,
    from baselines
),

most_missed as (
    select
        format(
            '{} is missed most: {:.0f} of {:.0f} s, {} of {} runs',
            concat_ws(' ', slo, subject),
            failing_s,
            judged_s,
            runs_failing,
            runs
        ) as sentence,
    from violations
    where violation_pct is not null
    qualify
        row_number() over (order by violation_pct desc, failing_s desc, slo asc, subject asc) = 1
),

slo_violations as (
    select
        'slo_violations' as criterion,
        max(violation_pct) as value,
        bool_and(violation_pct is not null) as is_complete,
        coalesce((select most_missed.sentence from most_missed), 'no SLO has data')
        || coalesce(
            '; no data for ' || string_agg(
                concat_ws(' ', slo, subject), ', ' order by slo, subject
            ) filter (violation_pct is null),
            ''
        ) as evidence,
    from violations
),

final as (
    select * from enough_runs
    union all
    select * from recorder_errors
    union all
    select * from overhead
    union all
    select * from sli_alignment
    union all
    select * from slo_surprises
    union all
    select * from slo_violations
)

select
    criterion,
    value,
    coalesce(is_complete, false) as is_complete,
    evidence,
from final
