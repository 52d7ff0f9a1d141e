-- What adds up, of the diagnosed run and of those it is compared with, which count as one run.
with components as (
    select * from {{ ref('diagnosis_components') }}
),

sides as (
    select
        components.*,
        components.run_id = {{ diagnosed_run() }} as is_now,
    from components
    where list_contains({{ diagnosed_runs() }}, run_id)
),

bases_of_runs as (
    select
        run_id,
        is_now,
        slo,
        scope,
        subject,
        dimension,
        route,
        max(base) as base,
    from sides
    group by all
),

bases as (
    select
        slo,
        scope,
        subject,
        dimension,
        route,
        sum(base) filter (is_now) as base_now,
        sum(base) filter (not is_now) as base_before,
    from bases_of_runs
    group by all
),

wholes as (
    select
        *,
        sum(base_now) over (partition by slo, scope, subject, dimension) as whole_now,
        sum(base_before) over (partition by slo, scope, subject, dimension) as whole_before,
    from bases
),

segments as (
    select
        slo,
        scope,
        subject,
        dimension,
        kind,
        route,
        segment,
        coalesce(sum(numerator) filter (is_now), 0) as numerator_now,
        coalesce(sum(denominator) filter (is_now), 0) as denominator_now,
        coalesce(sum(numerator) filter (not is_now), 0) as numerator_before,
        coalesce(sum(denominator) filter (not is_now), 0) as denominator_before,
    from sides
    group by all
),

final as (
    select
        segments.*,
        wholes.base_now,
        wholes.base_before,
        wholes.whole_now,
        wholes.whole_before,
    from segments
    inner join wholes
        on
            {{ same_slo('segments', 'wholes') }}
            and segments.dimension = wholes.dimension
            and segments.route = wholes.route
)

select * from final
