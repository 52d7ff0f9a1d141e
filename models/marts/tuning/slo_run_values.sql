with observations as (
    select * from {{ ref('slo_observations') }}
    where status <> 'no_data'
),

-- a run meets a target when each of its hosts does: its worst value is what counts of it
worst_of_runs as (
    select
        run_id,
        slo,
        scope,
        target_subject,
        comparator,
        if(comparator = '>=', min(value), max(value)) as value,
        bool_or(status = 'fail') as has_failed,
        any_value(length_s) as length_s,
    from observations
    group by run_id, slo, scope, target_subject, comparator
),

deviations as (
    select
        *,
        median(value) filter (isfinite(value)) over same_target as usual_value,
        case
            when isfinite(value)
                then if(comparator = '>=', usual_value - value, value - usual_value)
        end as worse_by,
    from worst_of_runs
    window same_target as (partition by slo, scope, target_subject)
),

-- the standard deviation as the middle half of the runs has it, which a bad week does not move; by
-- the mean where most runs have one value (B. Iglewicz, D. Hoaglin 1993, "How to Detect and Handle
-- Outliers", section 3.3)
final as (
    select
        *,
        coalesce(
            nullif(1.4826 * median(abs(worse_by)) over same_target, 0),
            1.2533 * avg(abs(worse_by)) over same_target
        ) as spread,
        coalesce(
            count(worse_by) over same_target >= {{ var('tune_runs_min') }}
            and worse_by > spread
            * {{ asked('tune_outlier_spreads', 'double', var('tune_outlier_spreads')) }},
            false
        ) as is_outlier,
    from deviations
    window same_target as (partition by slo, scope, target_subject)
)

select * from final
