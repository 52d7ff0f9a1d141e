with pooled as (
    select * from {{ ref('int_percentile_pools') }}
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
        run_id,
        scope,
        subject,
        measure as slo,
        amount as value,
    from {{ ref('int_sli_amounts') }}
    where grain = 'run' and measure in (select slos.slo from slos)
),

levels as (
    select
        {{ normal_quantile('chance') }} as z,
        1 - chance as tail,
    from (select 1 - (1 - {{ confidence() }} / 100) / 2 as chance)
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
        part['observations'] as part_size,
        len(list_filter(part['amounts'], lambda amount: amount <= reached))
        / len(part['amounts']) as share,
        sum(share * part_size) over together / sum(part_size) over together as share_of_all,
    from asked
    cross join unnest(asked.parts) as parts (part)
    where runs >= {{ var('regression_spread_runs_min') }} and not is_now
    window together as (partition by run_id, scope, subject, slo)
),

-- as of ratios
spread as (
    select
        run_id,
        scope,
        subject,
        slo,
        sum(part_size * pow(share - share_of_all, 2))
        / nullif(any_value(share_of_all * (1 - share_of_all)), 0) / (count(*) - 1) as spread,
    from shares
    group by all
),

sized as (
    select
        asked.* exclude (parts),
        greatest(1, coalesce(spread.spread, 1)) as dispersion,
        observations / dispersion as size,
        {{ quantile_ranks('quantile', 'size', 'levels.z', 'levels.tail') }} as ranks,
    from asked
    cross join levels
    left join spread on {{ same_slo('asked', 'spread') }} and asked.run_id = spread.run_id
),

bounded as (
    select
        * exclude (amounts),
        ceil((ranks.low / size - doubt) * len(amounts) - 1e-6)::bigint as place_low,
        ceil((ranks.high / size + doubt) * len(amounts) - 1e-6)::bigint as place_high,
        case
            when ranks is not null
                then {
                    'low': amounts[greatest(1, place_low)],
                    'high': amounts[least(len(amounts), place_high)]
                }
        end as around,
    from sized
),

sided as (
    select
        this.*,
        measured.value,
        -- one run before has its own SLI, to which several have no common one
        if(before.runs = 1, measured_before.value, before.reached) as baseline_value,
        before.around as around_before,
        before.observations as observations_before,
        before.size as baseline_effective_size,
        before.runs as baseline_runs,
        {{ difference_interval(
            'measured.value', 'this.around', 'baseline_value', 'before.around'
        ) }} as difference,
    from bounded as this
    inner join measured on {{ same_slo('this', 'measured') }} and this.run_id = measured.run_id
    left join bounded as before
        on {{ same_slo('this', 'before') }} and this.run_id = before.run_id and not before.is_now
    left join measured as measured_before
        on {{ same_slo('this', 'measured_before') }} and before.of_run_id = measured_before.run_id
    where this.is_now
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
        baseline_value,
        around_before.low as baseline_low,
        around_before.high as baseline_high,
        difference.low as change_low,
        difference.high as change_high,
        observations::double as sample_size,
        observations_before::double as baseline_sample_size,
        size as effective_size,
        baseline_effective_size,
        baseline_runs,
        dispersion,
    from sided
)

select * from final
