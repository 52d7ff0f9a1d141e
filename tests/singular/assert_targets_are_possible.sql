-- Guards against numbers of the seed that no verdict or budget can be told by: an objective of 0 or
-- of 101 %, a window of no days, an empty target. A command that reads files directly does not run
-- dbt's tests: one would show infinite budgets where the other refuses, so this runs when the models
-- are compiled, too.
-- Returns a sentence with the file, the row, the cell, and what it can be.
{{ config(meta={'when_compiled': true}) }}

{#- (cell, what holds for it, what it can be in words) -#}
{%- set bounds = [
    ('target', "target between 0 and if(unit = '%', 100, 1e300::double)",
        "if(unit = '%', '0 to 100', '0 or more')"),
    ('objective_pct', 'objective_pct between 50 and 100', "'50 to 100'"),
    ('window_days', 'window_days > 0 and window_days <= 3660', "'more than 0, and at most 3660'"),
    ('smallest_sample', 'smallest_sample between 0 and 1e300::double', "'0 or more'"),
] -%}

with targets as (

    select * from {{ ref('slo_targets') }}

),

impossible as (
    {% for cell, holds, words in bounds %}
    select
        concat_ws(' ', slo, scope, subject) as seed_row,
        '{{ cell }}' as cell,
        {{ cell }} as value,
        {{ words }} as bound,
    from targets
    where not coalesce({{ holds }}, false)
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    format(
        'seeds/slo_targets.csv, row {}: {} {} cannot be: {}',
        seed_row, cell, coalesce(value::varchar, '(empty)'), bound
    ) as message,
from impossible
order by message
