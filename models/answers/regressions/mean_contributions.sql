-- How much of a mean's change each segment explains (macro kitagawa): a mean is the sum over
-- segments of share x segment's mean, where the shares are how often each is waited for.
with measured as (
    select * from {{ ref('diagnosis_measured') }}
    where regexp_matches(slo, '_mean$')
),

shared as (
    select
        slo,
        scope,
        subject,
        dimension,
        segment,
        denominator_now / whole_now as share_now,
        denominator_before / whole_before as share_before,
        numerator_now / nullif(denominator_now, 0) as rate_now,
        numerator_before / nullif(denominator_before, 0) as rate_before,
    from measured
    where
        whole_now > 0
        and whole_before > 0
),

divided as (
    {{ kitagawa('shared', 'slo, scope, subject, dimension') }}
),

parts as (
    select
        slo,
        scope,
        subject,
        dimension,
        'segment' as part,
        segment,
        rate_now as mean_now,
        rate_before as mean_before,
        share_now,
        share_before,
        coalesce(within_effect + mix_effect, 0) as contribution,
    from divided
    where segment is not null
    union all by name
    select
        slo,
        scope,
        subject,
        dimension,
        'depth' as part,
        'asked per artifact' as segment,
        sum(share_now) as share_now,
        sum(share_before) as share_before,
        sum(depth_effect) as contribution,
    from divided
    group by slo, scope, subject, dimension
),

final as (
    select
        *,
        sum(contribution) over (partition by slo, scope, subject, dimension) as total_change,
    from parts
)

select * from final
