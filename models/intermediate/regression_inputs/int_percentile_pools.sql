with kept as (
    select * from {{ ref('int_percentile_values') }}
),

chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

baselines as (
    select * from {{ ref('int_regression_baselines') }}
),

-- each run beside itself, and beside the runs before it
pairs as (
    select
        run_id,
        run_id as of_run_id,
    from chosen
    union all
    from baselines
),

sides as (
    select
        pairs.run_id,
        kept.* exclude (run_id),
        kept.run_id as of_run_id,
        pairs.run_id = kept.run_id as is_now,
        sum(kept.observations) over side as all_observations,
        sum(len(kept.amounts)) over side as all_places,
        min(len(kept.amounts)) filter (kept.observations > len(kept.amounts)) over side
            as thinned_to,
    from pairs
    inner join kept on pairs.of_run_id = kept.run_id
    window side as (partition by pairs.run_id, scope, subject, measure, is_now)
),

-- where observations were left out, each run takes as many places as its part of them all
weighed as (
    select
        *,
        greatest(2, round(all_places * observations / all_observations))::bigint as places,
        if(thinned_to is null, amounts, {{ evenly_spaced('amounts', 'places') }}) as thinned,
    from sides
),

final as (
    select
        run_id,
        scope,
        subject,
        measure,
        is_now,
        any_value(of_run_id) as of_run_id,
        count(*) as runs,
        sum(observations) as observations,
        list({ 'amounts': amounts, 'observations': observations }) as parts,
        -- the rank of what is left is not sure: from leaving out, and from taking places
        coalesce(2 / any_value(thinned_to) + runs / any_value(all_places), 0) as doubt,
        list_sort(flatten(list(thinned))) as amounts,
    from weighed
    group by run_id, scope, subject, measure, is_now
)

select * from final
