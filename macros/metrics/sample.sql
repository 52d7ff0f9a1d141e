{#-
  Purpose: one sample of a metric, whatever it is about; metric() makes those that are about a run.
  Arguments: name, type and help, as Prometheus has them; amount, SQL for the value; labels, SQL for
    each label's value by its name; long values are cut (label_value).
  Returns: SQL for a struct of name, type, help, labels and amount.
  Example: {{ sample('docstokg_x', 'gauge', 'null', 'X.', {'slo': 'slo'}) }} has amount NULL, and so
    no series
-#}
{%- macro sample(name, type, amount, help, labels) -%}
{
    'name': '{{ name }}',
    'type': '{{ type }}',
    'help': '{{ help | replace("'", "''") }}',
    'labels': map {
        {%- for label, expression in labels.items() %}
        '{{ label }}': {{ label_value(expression) }}{{ ',' if not loop.last }}
        {%- endfor %}
    },
    'amount': ({{ amount }})::double
}
{%- endmacro -%}
