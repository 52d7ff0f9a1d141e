-- What adds up, of the diagnosed run and of those it is compared with, which count as one run.
{%- set measure = 'slo, scope, subject, dimension' %}

with components as (
    select
        *,
        run_id = {{ diagnosed_run() }} as is_now,
    from {{ ref('diagnosis_components') }}
    where list_contains({{ diagnosed_runs() }}, run_id)
),

bases_of_runs as (
    select
        run_id,
        is_now,
        {{ measure }},
        route,
        max(base) as base,
    from components
    group by all
),

bases as (
    select
        {{ measure }},
        route,
        sum(base) filter (is_now) as base_now,
        sum(base) filter (not is_now) as base_before,
        sum(base_now) over (partition by {{ measure }}) as whole_now,
        sum(base_before) over (partition by {{ measure }}) as whole_before,
    from bases_of_runs
    group by {{ measure }}, route
),

segments as (
    select
        {{ measure }},
        kind,
        route,
        segment,
        coalesce(sum(numerator) filter (is_now), 0) as numerator_now,
        coalesce(sum(denominator) filter (is_now), 0) as denominator_now,
        coalesce(sum(numerator) filter (not is_now), 0) as numerator_before,
        coalesce(sum(denominator) filter (not is_now), 0) as denominator_before,
    from components
    group by all
),

final as (
    select
        segments.*,
        bases.base_now,
        bases.base_before,
        bases.whole_now,
        bases.whole_before,
    from segments
    inner join bases
        on
            {{ same_slo('segments', 'bases') }}
            and segments.dimension = bases.dimension
            and segments.route = bases.route
)

select * from final
