{#-
  Purpose: one sample of a metric of a run, as the vars slis and metrics declare it.
  Arguments: declared, a mapping of name, value (SQL), help, and optionally type and labels (SQL by
    label).
  Returns: SQL for a struct of name, type, help, labels and amount.
  Example: {{ metric({'name': 'docstokg_run_x', 'value': 'null', 'help': 'X.'}) }} has amount NULL, and
    so no series
-#}
{%- macro metric(declared) -%}
    {%- set labels = {'run_id': 'run_id'} -%}
    {%- do labels.update(declared.labels or {}) -%}
    {{ sample(declared.name, declared.type or 'gauge', declared.value, declared.help, labels) }}
{%- endmacro -%}
