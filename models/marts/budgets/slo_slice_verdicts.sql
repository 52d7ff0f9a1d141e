-- a target can be asked for instead of the seed's: "what if it were 90?"
with slices as (
    select * replace (coalesce(getvariable('asked_targets')[slo], target)::double as target),
    from {{ ref('slo_slices') }}
    where list_contains({{ asked('chosen_runs', 'varchar[]', '[run_id]') }}, run_id)
),

final as (
    select
        * exclude (smallest_sample),
        case
            when value is null then 'no_data'
            when sample_size < smallest_sample then 'too_few'
            when {{ meets('value', 'comparator', 'target') }} then 'good'
            else 'bad'
        end as status,
    from slices
)

select * from final
