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

-- the share of the worst run
overhead as (

    select
        'overhead' as criterion,
        max(overhead_pct) as value,
        bool_and(overhead_pct is not null or coalesce(is_short, false)) as is_complete,
        coalesce(
            format(
                'run {}: {:.2f} % of the time in calls on the crawler''s threads, {:.2f} % of '
                || 'processor time in the writer; ',
                arg_max(run_id, overhead_pct),
                arg_max(call_pct, overhead_pct),
                arg_max(writer_pct, overhead_pct)
            ),
            ''
        )
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
            coalesce(
                format(
                    '; such as {} of run {}: {:.6g} written, {:.6g} measured',
                    arg_min(sli, run_id) filter (status = 'beyond'),
                    min(run_id) filter (status = 'beyond'),
                    arg_min(recorded_value, run_id) filter (status = 'beyond'),
                    arg_min(measured_value, run_id) filter (status = 'beyond')
                ),
                ''
            )
        ) as evidence,
    from compared

),

slo_surprises as (

    select
        'slo_surprises' as criterion,
        max(failing_pct) as value,
        bool_and(observations > 0) as is_complete,
        coalesce(
            format(
                '{} fails most, in {} of {} runs',
                arg_max(concat_ws(' ', slo, subject), failing_pct),
                arg_max(runs_failing, failing_pct),
                arg_max(runs, failing_pct)
            ),
            'no SLO has data'
        )
        || coalesce(
            '; no data for ' || string_agg(
                concat_ws(' ', slo, subject), ', ' order by slo, subject
            ) filter (observations = 0),
            ''
        ) as evidence,
    from baselines

),

slo_violations as (

    select
        'slo_violations' as criterion,
        max(violation_pct) as value,
        bool_and(violation_pct is not null) as is_complete,
        coalesce(
            format(
                '{} is missed most: {:.0f} of {:.0f} s, {} of {} runs',
                arg_max(concat_ws(' ', slo, subject), violation_pct),
                arg_max(failing_s, violation_pct),
                arg_max(judged_s, violation_pct),
                arg_max(runs_failing, violation_pct),
                arg_max(runs, violation_pct)
            ),
            'no SLO has data'
        )
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
