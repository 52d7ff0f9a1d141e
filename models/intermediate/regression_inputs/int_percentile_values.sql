{{ config(materialized='incremental') }}

{%- set kept = var('regression_kept_values') -%}
{%- set columns = {} -%}
{%- for sli in var('slis') if sli.meta.column -%}
{%- do columns.setdefault(sli.meta.column, []).append(sli) -%}
{%- endfor %}

with
{% for column, slis in columns.items() %}
{%- set fact = slis[0].meta.fact %}
{%- set declared = var('sli_facts')[fact] %}
{{ column }} as (
    select
        run_id,
        {{ sli_scope(fact) }},
        count(*) as observations,
        list_sort(list({{ column }})) as amounts,
    from {{ ref(declared.model) }}
    {{ where_touched(column ~ ' is not null') }}
    group by grouping sets ({{ sli_groups(fact, [['run_id']]) }})
),

{% endfor %}
observed as (
    {% for column, slis in columns.items() %}
    select
        *,
        '{{ column }}' as measure,
    from {{ column }}
    where
        scope in (
            {{- "'run'" if not slis[0].meta.headline else "''" }}
            {%- for by in slis[0].meta.by %}, 'run_{{ by }}'{% endfor %}
        )
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

final as (
    select
        run_id,
        scope,
        subject,
        measure,
        observations,
        -- of many, those nearest to as many at even distances
        if(observations <= {{ kept }}, amounts, {{ evenly_spaced('amounts', kept) }}) as amounts,
    from observed
)

select * from final
