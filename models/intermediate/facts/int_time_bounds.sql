with final as (
    select
        {{ var('time_first_s') }}::double as first_s,
        {{ var('time_end_s') }}::double as end_s
)

select * from final
