with targets as (
    select * from {{ ref('slo_targets') }}
),

slis as (
    select * from {{ ref('int_slis') }}
),

final as (
    select
        targets.*,
        slis.sample,
        slis.good,
        if(bool_or(slis.good is not null) over (partition by slo, scope), 'events', 'slices')
            as counted_in,
    from targets
    left join slis on targets.slo = slis.sli
)

select * from final
