with final as (
    select * exclude (grain, starts_at)
    from {{ ref('int_sli_amounts') }}
    where grain = 'run'
)

select * from final
