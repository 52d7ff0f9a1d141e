{#-
  Purpose: arithmetic invariants. A condition that is NULL holds: there was nothing to compare.
  Arguments: model; conditions, a list of SQL expressions over the model's columns.
  Returns: the rows in which one is false, each with the conditions it breaks. The model is read
    once, however many conditions there are.
  Example: conditions: ["artifacts_success <= artifacts"]
-#}
{% test holds_in_every_row(model, conditions) %}
select
    list_filter(
        [
            {%- for condition in conditions %}
            case when not ({{ condition }}) then '{{ condition | replace("'", "''") }}' end,
            {%- endfor %}
        ],
        lambda broken: broken is not null
    ) as broken_conditions,
    to_json(checked)::varchar as found,
from {{ model }} as checked
where not (
    {%- for condition in conditions %}
    coalesce({{ condition }}, true)
    {%- if not loop.last %} and{% endif %}
    {%- endfor %}
)
{% endtest %}
