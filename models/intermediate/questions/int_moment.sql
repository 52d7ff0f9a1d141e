with final as (
    select coalesce(getvariable('as_of')::timestamp, timezone('UTC', now())) as as_of
)

select * from final
