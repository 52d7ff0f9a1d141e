-- How much of a mean's change each segment explains, by the division of diagnosis_contributions
-- (Kitagawa 1955): a mean is the sum over segments of share x segment's mean, where the shares are
-- how often each is waited for, and need not sum to 1.
with measured as (
    select * from {{ ref('diagnosis_measured') }}
    where regexp_matches(slo, '_mean$')
),

sides as (
    select
        slo,
        scope,
        subject,
        dimension,
        segment,
        denominator_now / whole_now as share_now,
        denominator_before / whole_before as share_before,
        numerator_now / nullif(denominator_now, 0) as mean_now,
        numerator_before / nullif(denominator_before, 0) as mean_before,
        -- a segment that one side does not have has only changed its share
        coalesce(mean_now, mean_before) as mean_now_or_before,
        coalesce(mean_before, mean_now) as mean_before_or_now,
        sum(numerator_now) over dimensions / nullif(sum(denominator_now) over dimensions, 0)
            as all_now,
        sum(numerator_before) over dimensions / nullif(
            sum(denominator_before) over dimensions, 0
        ) as all_before,
        (coalesce(all_now, all_before, 0) + coalesce(all_before, all_now, 0)) / 2 as mean_of_all,
    from measured
    where
        whole_now > 0
        and whole_before > 0
    window dimensions as (partition by slo, scope, subject, dimension)
),

parts as (
    select
        slo,
        scope,
        subject,
        dimension,
        'segment' as part,
        segment,
        mean_now,
        mean_before,
        share_now,
        share_before,
        coalesce(
            (share_now + share_before) / 2 * (mean_now_or_before - mean_before_or_now)
            + (share_now - share_before)
            * ((mean_now_or_before + mean_before_or_now) / 2 - mean_of_all),
            0
        ) as contribution,
    from sides
    union all
    select
        slo,
        scope,
        subject,
        dimension,
        'depth' as part,
        'asked per artifact' as segment,
        null as mean_now,
        null as mean_before,
        sum(share_now) as share_now,
        sum(share_before) as share_before,
        (sum(share_now) - sum(share_before)) * any_value(mean_of_all) as contribution,
    from sides
    group by slo, scope, subject, dimension
),

final as (
    select
        *,
        sum(contribution) over (partition by slo, scope, subject, dimension) as total_change,
    from parts
    where segment is not null
)

select * from final
