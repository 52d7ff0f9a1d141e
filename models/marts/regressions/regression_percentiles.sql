with kept as (

    select * from {{ ref('int_percentile_values') }}

),

baselines as (

    select * from {{ ref('regression_baselines') }}

),

slos as (

    select distinct
        slo,
        regexp_replace(slo, '_p\d+_', '_') as measure,
        try_cast(regexp_extract(slo, '_p(\d+)_', 1) as double) / 100 as quantile,
    from {{ ref('slo_targets') }}
    where regexp_matches(slo, '_p\d+_')

),

of_artifacts as (

    select
        run_id,
        if(grain = 'resolver', 'run_resolver', 'run') as scope,
        resolver as subject,
        columns('^ttfp_.*_ms$'),
    from {{ ref('int_ttfp_slis') }}
    where grain in ('run', 'resolver')

),

-- the SLIs themselves, as they are told everywhere
measured as (

    from of_artifacts
    unpivot (value for slo in (* exclude (run_id, scope, subject)))
    union all
    select
        run_id,
        'run_' || grain as scope,
        coalesce(role, host) as subject,
        'rate_delay_p95_ms' as slo,
        rate_delay_p95_ms as value,
    from {{ ref('int_delay_slis') }}
    where rate_delay_p95_ms is not null

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
        run_id,
        scope,
        subject,
        measure,
        is_now,
        count(*) as runs,
        any_value(of_run_id) as of_run_id,
        sum(observations) as observations,
        -- of observations that were left out, the rank is not sure
        max(if(observations > len(amounts), 2 / len(amounts), 0)) as doubt,
    from sides
    group by run_id, scope, subject, measure, is_now

),

points as (

    select
        run_id,
        scope,
        subject,
        measure,
        is_now,
        of_run_id,
        observations / len(amounts) as weight,
        unnest(amounts) as amount,
    from sides

),

ordered as (

    select
        *,
        sum(weight) over (
            partition by run_id, scope, subject, measure, is_now
            order by amount rows unbounded preceding
        ) as reached,
    from points

),

asked as (

    select
        sized.*,
        slos.slo,
        slos.quantile,
    from sized
    inner join slos on sized.measure = slos.measure

),

-- the first observation by which that part of them is reached
pooled as (

    select
        asked.run_id,
        asked.scope,
        asked.subject,
        asked.slo,
        asked.measure,
        min(ordered.amount) as amount,
    from asked
    inner join ordered
        on
            asked.run_id = ordered.run_id
            and asked.scope = ordered.scope
            and asked.subject is not distinct from ordered.subject
            and asked.measure = ordered.measure
            and asked.is_now = ordered.is_now
    where
        not asked.is_now
        and ordered.reached >= asked.quantile * asked.observations - 1e-6
    group by asked.run_id, asked.scope, asked.subject, asked.slo, asked.measure

),

-- how many of each run before are below what half, or 95 %, of all of them are below
below as (

    select
        pooled.run_id,
        pooled.scope,
        pooled.subject,
        pooled.slo,
        points.of_run_id,
        sum(points.weight) as observations,
        sum(points.weight) filter (points.amount <= pooled.amount) as below,
    from pooled
    inner join points
        on
            pooled.run_id = points.run_id
            and pooled.scope = points.scope
            and pooled.subject is not distinct from points.subject
            and pooled.measure = points.measure
    where not points.is_now
    group by pooled.run_id, pooled.scope, pooled.subject, pooled.slo, points.of_run_id

),

shares as (

    select
        *,
        coalesce(below, 0) / observations as share,
        sum(below) over (partition by run_id, scope, subject, slo)
        / sum(observations) over (partition by run_id, scope, subject, slo) as share_of_all,
    from below

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
    from shares
    group by run_id, scope, subject, slo
    having count(*) >= {{ var('regression_spread_runs_min') }}

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
            asked.run_id = spread.run_id
            and asked.scope = spread.scope
            and asked.subject is not distinct from spread.subject
            and asked.slo = spread.slo

),

ranked as (

    select
        *,
        {{ quantile_ranks('quantile', 'size', 'z', 'tail') }} as ranks,
    from effective

),

reaching as (

    select
        *,
        greatest(0, ranks.low / size - doubt) * observations as reached_low,
        least(1, ranks.high / size + doubt) * observations as reached_high,
    from ranked
    where ranks is not null

),

bounded as (

    select
        reaching.run_id,
        reaching.scope,
        reaching.subject,
        reaching.slo,
        reaching.is_now,
        {
            'low': min(ordered.amount) filter (ordered.reached >= reaching.reached_low - 1e-6),
            'high': min(ordered.amount) filter (ordered.reached >= reaching.reached_high - 1e-6)
        } as around,
    from reaching
    inner join ordered
        on
            reaching.run_id = ordered.run_id
            and reaching.scope = ordered.scope
            and reaching.subject is not distinct from ordered.subject
            and reaching.measure = ordered.measure
            and reaching.is_now = ordered.is_now
    group by reaching.run_id, reaching.scope, reaching.subject, reaching.slo, reaching.is_now

),

sided as (

    select
        this.run_id,
        this.scope,
        this.subject,
        this.slo,
        measured.value,
        around.around,
        -- one run before has its own SLI, to which several have no common one
        if(before.runs = 1, measured_before.value, pooled.amount) as value_before,
        around_before.around as around_before,
        this.observations,
        before.observations as observations_before,
        this.size,
        before.size as size_before,
        before.runs as runs_before,
        this.dispersion,
    from effective as this
    inner join measured
        on
            this.run_id = measured.run_id
            and this.scope = measured.scope
            and this.subject is not distinct from measured.subject
            and this.slo = measured.slo
    left join effective as before
        on
            this.run_id = before.run_id
            and this.scope = before.scope
            and this.subject is not distinct from before.subject
            and this.slo = before.slo
            and not before.is_now
    left join bounded as around
        on
            this.run_id = around.run_id
            and this.scope = around.scope
            and this.subject is not distinct from around.subject
            and this.slo = around.slo
            and around.is_now
    left join bounded as around_before
        on
            this.run_id = around_before.run_id
            and this.scope = around_before.scope
            and this.subject is not distinct from around_before.subject
            and this.slo = around_before.slo
            and not around_before.is_now
    left join pooled
        on
            this.run_id = pooled.run_id
            and this.scope = pooled.scope
            and this.subject is not distinct from pooled.subject
            and this.slo = pooled.slo
    left join measured as measured_before
        on
            before.of_run_id = measured_before.run_id
            and this.scope = measured_before.scope
            and this.subject is not distinct from measured_before.subject
            and this.slo = measured_before.slo
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
