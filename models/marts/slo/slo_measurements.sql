with final as (
    select
        run_id,
        scope,
        subject,
        measure,
        amount,
    from {{ ref('int_sli_amounts') }}
    where grain = 'run'
)

select * from final
