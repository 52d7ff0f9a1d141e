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
    from targets
    left join slis on targets.slo = slis.sli
)

select * from final
