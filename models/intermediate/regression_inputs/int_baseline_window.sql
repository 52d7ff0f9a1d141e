with final as (
    select
        {{ asked('regression_baseline_runs', 'bigint', var('regression_baseline_runs')) }} as runs,
        {{ asked('regression_baseline_days', 'double', var('regression_baseline_days')) }} as days
)

select * from final
