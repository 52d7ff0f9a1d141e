{% macro metric(name, type, amount, help, labels={}) %}
{%- set all_labels = {'run_id': 'run_id'} -%}
{%- do all_labels.update(labels) -%}
{{ sample(name, type, amount, help, all_labels) }}
{%- endmacro %}
