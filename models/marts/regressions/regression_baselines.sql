with final as (
    select * from {{ ref('int_regression_baselines') }}
)

select * from final
