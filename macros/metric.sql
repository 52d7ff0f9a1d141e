{% macro metric(name, type, amount, help, labels={}) %}
{
    'name': '{{ name }}',
    'type': '{{ type }}',
    'help': '{{ help | replace("'", "''") }}',
    'labels': map {
        'run_id': run_id
        {%- for label, expression in labels.items() %},
        '{{ label }}': {{ expression }}
        {%- endfor %}
    },
    'amount': ({{ amount }})::double
}
{%- endmacro %}
