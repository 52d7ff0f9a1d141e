{#-
  Purpose: what a diagnosis was asked, which its views read when they are read: the views of the
    folder models/diagnosis say nothing until the connection has set these variables.
  Arguments: name, one of diagnosed_run (a run id) and diagnosed_against (previous, last-week, or a
    run id).
  Returns: SQL for a VARCHAR value; NULL where the variable is not set.
  Example: where run_id = {{ diagnosed('run') }}
-#}
{%- macro diagnosed(name) -%}
    cast(getvariable('diagnosed_{{ name }}') as varchar)
{%- endmacro -%}
