with kept as (
    select * from {{ ref('int_percentile_values') }}
),

baselines as (
    select * from {{ ref('regression_baselines') }}
),

slos as (
    select
        slis.sli as slo,
        slis.measure,
        slis.quantile,
    from {{ ref('int_slis') }} as slis
    semi join {{ ref('slo_targets') }} as targets on slis.sli = targets.slo
    where slis.kind = 'percentile'
),

-- the SLIs themselves, as they are told everywhere
measured as (
    select
        amounts.run_id,
        amounts.scope,
        amounts.subject,
        amounts.measure as slo,
        amounts.amount as value,
    from {{ ref('int_sli_amounts') }} as amounts
    semi join slos on amounts.measure = slos.slo
    where amounts.grain = 'run'
),

levels as (
    select
        {{ normal_quantile('chance') }} as z,
        1 - chance as tail,
    from (select 1 - (1 - {{ confidence() }} / 100) / 2 as chance)
),

chosen as (
    select run_id from {{ ref('int_chosen_runs') }}
),

-- each run's observations, and beside them those of the runs before it
sides as (
    select
        kept.*,
        kept.run_id as of_run_id,
        true as is_now,
    from kept
    semi join chosen on kept.run_id = chosen.run_id
    union all
    select
        baselines.run_id,
        kept.* exclude (run_id),
        kept.run_id as of_run_id,
        false as is_now,
    from baselines
    inner join kept on baselines.baseline_run_id = kept.run_id
    semi join kept as mine
        on
            baselines.run_id = mine.run_id
            and kept.scope = mine.scope
            and kept.subject is not distinct from mine.subject
            and kept.measure = mine.measure
),

sized as (
    select
        *,
        sum(observations) over side as observations_of_side,
        sum(len(amounts)) over side as kept_of_side,
        min(len(amounts)) filter (observations > len(amounts)) over side as thinned_to,
        count(*) over side as runs,
    from sides
    window side as (partition by run_id, scope, subject, measure, is_now)
),

-- where observations were left out, each run takes as many places as its part of them all
weighed as (
    select
        *,
        if(
            thinned_to is null,
            len(amounts),
            greatest(2, round(kept_of_side * observations / observations_of_side))
        )::bigint as places,
    from sized
),

pooled as (
    select
        run_id,
        scope,
        subject,
        measure,
        is_now,
        any_value(of_run_id) as of_run_id,
        any_value(runs) as runs,
        any_value(observations_of_side) as observations,
        -- the rank of what is left is not sure: from leaving out, and from taking places
        any_value(coalesce(2 / thinned_to + runs / kept_of_side, 0)) as doubt,
        list_sort(flatten(list(
            if(
                places = len(amounts),
                amounts,
                [
                    amounts[1 + round(place * (len(amounts) - 1) / (places - 1))::bigint]
                    for place in range(places)
                ]
            )
        ))) as amounts,
    from weighed
    group by run_id, scope, subject, measure, is_now
),

asked as (
    select
        pooled.*,
        slos.slo,
        slos.quantile,
        -- the first observation by which that part of them is reached
        pooled.amounts[ceil(slos.quantile * len(pooled.amounts) - 1e-6)::bigint] as reached,
    from pooled
    inner join slos on pooled.measure = slos.measure
),

-- which part of each run before is below what half, or 95 %, of all of them are below
shares as (
    select
        asked.run_id,
        asked.scope,
        asked.subject,
        asked.slo,
        sides.observations,
        len(list_filter(sides.amounts, lambda amount: amount <= asked.reached))
        / len(sides.amounts) as share,
    from asked
    inner join sides
        on
            asked.run_id = sides.run_id
            and asked.scope = sides.scope
            and asked.subject is not distinct from sides.subject
            and asked.measure = sides.measure
    where
        asked.runs >= {{ var('regression_spread_runs_min') }}
        and not asked.is_now
        and not sides.is_now
),

shares_of_all as (
    select
        *,
        sum(share * observations) over subjects / sum(observations) over subjects as share_of_all,
    from shares
    window subjects as (partition by run_id, scope, subject, slo)
),

-- as of ratios
spread as (
    select
        run_id,
        scope,
        subject,
        slo,
        sum(observations * pow(share - share_of_all, 2))
        / nullif(any_value(share_of_all * (1 - share_of_all)), 0) / (count(*) - 1) as dispersion,
    from shares_of_all
    group by run_id, scope, subject, slo
),

effective as (
    select
        asked.*,
        greatest(1, coalesce(spread.dispersion, 1)) as dispersion,
        asked.observations / greatest(1, coalesce(spread.dispersion, 1)) as size,
        levels.z,
        levels.tail,
    from asked
    cross join levels
    left join spread
        on
            {{ same_slo('asked', 'spread') }}
            and asked.run_id = spread.run_id
),

ranked as (
    select
        *,
        {{ quantile_ranks('quantile', 'size', 'z', 'tail') }} as ranks,
    from effective
),

placed as (
    select
        *,
        ceil((ranks.low / size - doubt) * len(amounts) - 1e-6)::bigint as place_low,
        ceil((ranks.high / size + doubt) * len(amounts) - 1e-6)::bigint as place_high,
    from ranked
),

bounded as (
    select
        * exclude (amounts),
        case
            when ranks is not null
                then {
                    'low': amounts[greatest(1, place_low)],
                    'high': amounts[least(len(amounts), place_high)]
                }
        end as around,
    from placed
),

sided as (
    select
        this.run_id,
        this.scope,
        this.subject,
        this.slo,
        measured.value,
        this.around,
        -- one run before has its own SLI, to which several have no common one
        if(before.runs = 1, measured_before.value, before.reached) as value_before,
        before.around as around_before,
        this.observations,
        before.observations as observations_before,
        this.size,
        before.size as size_before,
        before.runs as runs_before,
        this.dispersion,
    from bounded as this
    inner join measured
        on
            {{ same_slo('this', 'measured') }}
            and this.run_id = measured.run_id
    left join bounded as before
        on
            {{ same_slo('this', 'before') }}
            and this.run_id = before.run_id
            and not before.is_now
    left join measured as measured_before
        on
            {{ same_slo('this', 'measured_before') }}
            and before.of_run_id = measured_before.run_id
    where this.is_now
),

compared as (
    select
        *,
        {{ difference_interval('value', 'around', 'value_before', 'around_before') }}
            as difference,
    from sided
),

final as (
    select
        run_id,
        scope,
        subject,
        slo,
        value,
        around.low as value_low,
        around.high as value_high,
        value_before as baseline_value,
        around_before.low as baseline_low,
        around_before.high as baseline_high,
        difference.low as change_low,
        difference.high as change_high,
        observations::double as sample_size,
        observations_before::double as baseline_sample_size,
        size as effective_size,
        size_before as baseline_effective_size,
        runs_before as baseline_runs,
        dispersion,
    from compared
)

select * from final
