{#-
  Purpose: the grain of a model: no two rows agree in all of some columns. NULL counts as a value.
  Arguments: model; columns, a list of column names.
  Returns: the combinations that occur more than once, with how often.
  Example: columns: [run_id, host]
-#}
{% test unique_combination(model, columns) %}
select
    {{ columns | join(', ') }},
    count(*) as rows_found,
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
