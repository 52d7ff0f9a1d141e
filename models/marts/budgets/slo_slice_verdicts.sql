with slices as (
    select
        *,
        -- a target that is asked for instead of the seed's: "what if it were 90?"
        coalesce(getvariable('asked_targets')[slo], target)::double as asked_target,
    from {{ ref('slo_slices') }}
    where list_contains({{ asked('chosen_runs', 'varchar[]', '[run_id]') }}, run_id)
),

final as (
    select
        run_id,
        hour_at,
        slo,
        scope,
        subject,
        comparator,
        asked_target as target,
        unit,
        objective_pct,
        window_days,
        value,
        sample_size,
        good_events,
        case
            when value is null then 'no_data'
            when sample_size < smallest_sample then 'too_few'
            when {{ meets('value', 'comparator', 'asked_target') }} then 'good'
            else 'bad'
        end as status,
    from slices
)

select * from final
