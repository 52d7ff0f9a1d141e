{#-
  Purpose: arithmetic invariants. A condition that is NULL holds: there was nothing to compare.
  Arguments: model; conditions, a list of SQL expressions over the model's columns.
  Returns: the rows in which one is false, each with the condition it breaks.
  Example: conditions: ["artifacts_success <= artifacts"]
-#}
{% test holds_in_every_row(model, conditions) %}
{% for condition in conditions %}
select
    '{{ condition | replace("'", "''") }}' as broken_condition,
    to_json(checked)::varchar as found,
from {{ model }} as checked
where not ({{ condition }})
{% if not loop.last %}union all{% endif %}
{% endfor %}
{% endtest %}
