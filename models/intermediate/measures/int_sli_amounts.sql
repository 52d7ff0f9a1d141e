-- One number a row, so that what reads SLIs by their names needs no change for a new one.
with together as (
    {% for fact, declared in var('sli_facts').items() %}
    select * from {{ ref(declared.measures) }}
    {{ 'union all by name' if not loop.last }}
    {%- endfor %}
),

numbers as (
    select
        run_id,
        grain,
        starts_at,
        scope,
        subject,
        columns(* exclude (run_id, grain, starts_at, scope, subject))::double,
    from together
),

final as (
    from numbers
    unpivot (amount for measure in (* exclude (run_id, grain, starts_at, scope, subject)))
)

select * from final
