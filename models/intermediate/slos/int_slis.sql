{%- for sli in var('slis') %}{{ sli_check(sli) }}{% endfor -%}
with final as (
    {% for sli in var('slis') + var('sli_samples') %}
    {%- set meta = sli.meta %}
    {%- set is_ratio = meta.good or meta.bad %}
    {%- set dimensions = var('sli_facts')[meta.fact].dimensions %}
    {%- set parts = dimensions if meta.parts is not defined else meta.parts %}
    {%- set sample = meta.sample or (sli.name ~ '_sample' if meta.column else sli.name) %}
    select
        {{ sql_text(sli.name) }} as sli,
        {{ sql_text(meta.fact) }} as fact,
        {{ sql_text('percentile' if meta.column else 'ratio' if is_ratio else 'number') }} as kind,
        {{ sql_text(sample) }} as sample,
        {{ sql_text(sli.name ~ '_good' if is_ratio else none) }} as good,
        {{ sql_text(meta.column) }} as measure,
        {{ meta.quantile or 'null' }}::double as quantile,
        {{ meta.by.keys() | list }}::varchar[] as told_by,
        {{ parts }}::varchar[] as parts,
        {{ sql_text(meta.topic or 'slo') }} as topic,
        {{ sql_text((meta.help or sli.name).split(',')[0].rstrip('.')) }} as told,
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
