{#-
  Purpose: the run that is diagnosed, which the views of models/answers read when they are read:
    they say nothing until the connection has set the variable.
  Arguments: none.
  Returns: SQL for a VARCHAR value; NULL where nobody asked.
  Example: where run_id = {{ diagnosed_run() }}
-#}
{%- macro diagnosed_run() -%}
    cast(getvariable('diagnosed_run') as varchar)
{%- endmacro -%}
