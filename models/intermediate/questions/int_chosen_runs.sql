with runs as (
    select
        run_id,
        length_s,
    from {{ ref('int_runs') }}
),

final as (
    select
        run_id,
        if(length_s < 0, 0, length_s) as length_s,
    from runs
    where list_contains({{ asked('chosen_runs', 'varchar[]', '[run_id]') }}, run_id)
)

select * from final
