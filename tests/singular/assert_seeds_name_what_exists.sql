-- Guards against a typing error in a seed, which passes in silence: an SLO of an SLI that is not
-- there has "no data" for ever. Each cell that names something is looked up, whatever is loaded, so this runs when the models are compiled, too.
-- Returns a sentence with the file, the row, the cell, and the name that comes nearest.
{{ config(meta={'when_compiled': true}) }}

{#- what only code knows by name; pytest holds some of these to the code -#}
{%- set words = {
    'comparator of an SLO': ['>=', '<='],
    'scope of an SLO': ['run', 'run_role', 'run_host'],
    'role': ['metadata', 'landing', 'artifact'],
    'severity': ['page', 'ticket'],
    'topic of diagnose': ['yield', 'corruption', 'ttfp', 'rate-limit', 'cache', 'breaker', 'slo'],
    'dimension': ['resolver', 'host', 'role', 'failure'],
    'phase': ['pilot', 'ramp', 'production'],
    'comparator of a criterion': ['<', '<=', '>='],
    'criterion': [
        'tables', 'recorder_errors', 'log_errors', 'overhead', 'privacy', 'commands',
        'enough_runs', 'sli_alignment', 'slo_surprises', 'scrape', 'parquet', 'capture',
        'slo_violations', 'alert_rules', 'alerts_loaded', 'dashboards',
    ],
    'known setting': [
        'rps_lower in requests/s', 'rps_raise in requests/s', 'retry_after_s in s',
        'fail_max in failures', 'reset_timeout_s in s', 'timeout_s in s', 'timeout_s_raise in s',
        'retry_budget in tries', 'cache_ttl_s in s',
    ],
    'direction': ['up', 'down'],
} -%}

{#- the columns that the numbers of a kind are: of the SLI marts -#}
{%- set columns = [
    ('SLI or count of a run', 'run_slis'),
    ('SLI or count of a run_role', 'role_slis'),
    ('SLI or count of a run_host', 'host_slis'),
    ('number of run_summary', 'stg_run_summary'),
] -%}

{#- (seed, what tells its rows apart, cell, kind, the value where it is not the cell itself) -#}
{%- set cells = [
    ('slo_targets', 'slo, scope, subject', 'scope', "'scope of an SLO'", none),
    ('slo_targets', 'slo, scope, subject', 'comparator', "'comparator of an SLO'", none),
    ('slo_targets', 'slo, scope, subject', 'slo', "'SLI or count of a ' || scope", none),
    ('slo_targets', 'slo, scope, subject', 'subject', "if(scope = 'run_role', 'role', null)", none),
    ('burn_rate_alerts', 'long_hours, short_hours', 'severity', "'severity'", none),
    ('pinned_slos', 'slo', 'slo', "'SLI or count'", none),
    ('sli_tolerances', 'sli', 'sli', "'SLI or count of a run'", none),
    ('sli_tolerances', 'sli', 'recorded_as', "'number of run_summary'", none),
    ('gate_criteria', 'phase, criterion', 'phase', "'phase'", none),
    ('gate_criteria', 'phase, criterion', 'criterion', "'criterion'", none),
    ('gate_criteria', 'phase, criterion', 'comparator', "'comparator of a criterion'", none),
    ('diagnosis_measures', 'slo, scope', 'scope', "'scope of an SLO'", none),
    ('diagnosis_measures', 'slo, scope', 'slo', "'SLI or count of a ' || scope",
        "regexp_replace(slo, '_mean$', '')"),
    ('diagnosis_measures', 'slo, scope', 'topic', "'topic of diagnose'", none),
    ('diagnosis_measures', 'slo, scope', 'dimension', "'dimension'", none),
    ('remedy_limits', 'setting', 'setting', "'known setting'", "setting || ' in ' || unit"),
    ('remedy_limits', 'setting', 'direction', "'direction'", none),
] -%}
{%- set may_be_empty = ['subject', 'direction'] %}

with names as (
    {%- for kind, model in columns %}
    select
        '{{ kind }}' as kind,
        column_name as name,
    from (describe {{ ref(model) }})
    where column_type in ('DOUBLE', 'BIGINT', 'HUGEINT', 'INTEGER')
    union all
    {%- endfor %}
    {%- for kind, known in words.items() %}
    select
        '{{ kind }}' as kind,
        unnest({{ known }}) as name,
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

known as (

    select
        kind,
        name,
    from names
    union
    select
        'SLI or count' as kind,
        name,
    from names
    where kind like 'SLI or count of a %'

),

-- the SLI's name ends with its unit, which targets and messages are written in
units as (

    select
        'slo_targets' as seed,
        concat_ws(' ', slo, scope, subject) as seed_row,
        'unit' as cell,
        unit as value,
        case
            when slo like '%\_pct' escape '\' then '%'
            when slo like '%\_ms' escape '\' then 'ms'
            when slo like '%\_mb' escape '\' then 'MB'
        end as wanted,
    from {{ ref('slo_targets') }}

),

-- hosts are compared as they are stored
subjects as (

    select
        'slo_targets' as seed,
        concat_ws(' ', slo, scope, subject) as seed_row,
        'subject' as cell,
        subject as value,
        {{ host_name('subject') }} as wanted,
    from {{ ref('slo_targets') }}
    where scope = 'run_host'

),

cells as (
    {%- for seed, key, cell, kind, value in cells %}
    select
        '{{ seed }}' as seed,
        concat_ws(' ', {{ key }}) as seed_row,
        '{{ cell }}' as cell,
        {{ value or cell }} as value,
        {{ kind }} as kind,
    from {{ ref(seed) }}
    {%- if cell in may_be_empty %}
    where {{ cell }} is not null
    {%- endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

),

unknown as (

    select
        cells.*,
        (
            select arg_min(known.name, (levenshtein(known.name, coalesce(cells.value, '')), known.name))
            from known
            where known.kind = cells.kind
        ) as nearest,
    from cells
    anti join known on cells.kind = known.kind and cells.value = known.name
    -- what an unknown scope could have is not known: the scope itself is told
    where cells.kind in (select known.kind from known)

)

select
    format(
        'seeds/{}.csv, row {}: {} {} is no {}; nearest: {}',
        seed, seed_row, cell, coalesce('"' || value || '"', '(empty)'), kind, nearest
    ) as message,
from unknown
union all
select
    format(
        'seeds/{}.csv, row {}: {} {} should be "{}"',
        seed, seed_row, cell, coalesce('"' || value || '"', '(empty)'), wanted
    ) as message,
from (
    from units
    union all
    from subjects
)
where value is distinct from wanted and wanted is not null
order by message
