{#-
  Purpose: divide the change of a sum over segments of share x rate among them, without a remainder
    (Kitagawa 1955, "Components of a difference between two rates", J. Am. Stat. Assoc. 50: 1168).
    Shares need not sum to 1, as an artifact may be asked of several resolvers: what is left is the
    change of their sum (the depth) x the mean rate of all.
  Arguments: segments, a relation with share_now, share_before, rate_now and rate_before; keys, the
    columns of which each combination is a sum of its own, with commas.
  Returns: a SELECT of all columns of segments and, of each sum, total_now and total_before,
    depth_now and depth_before; of each segment within_effect (mean share x change of the rate),
    mix_effect (change of the share x (mean rate - mean rate of all)) and depth_effect. All effects
    of a sum add up to its change. NULL for a segment without a rate on either side.
  Example: shares of 1 and rates of 0.2, then 0.5: within 0.3, mix and depth 0.
-#}
{%- macro kitagawa(segments, keys) -%}
    select
        *,
        sum(share_now) over sums as depth_now,
        sum(share_before) over sums as depth_before,
        sum(share_now * rate_now) over sums as total_now,
        sum(share_before * rate_before) over sums as total_before,
        total_now / nullif(depth_now, 0) as all_now,
        total_before / nullif(depth_before, 0) as all_before,
        (coalesce(all_now, all_before, 0) + coalesce(all_before, all_now, 0)) / 2 as mean_of_all,
        -- what one side does not have has only changed its share
        coalesce(rate_now, rate_before) - coalesce(rate_before, rate_now) as rate_change,
        (coalesce(rate_now, rate_before) + coalesce(rate_before, rate_now)) / 2 as mean_rate,
        coalesce(share_now, 0) - coalesce(share_before, 0) as share_change,
        (coalesce(share_now, 0) + coalesce(share_before, 0)) / 2 * rate_change as within_effect,
        share_change * (mean_rate - mean_of_all) as mix_effect,
        share_change * mean_of_all as depth_effect,
    from {{ segments }}
    window sums as (partition by {{ keys }})
{%- endmacro -%}
