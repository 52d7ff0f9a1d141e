{#-
  Purpose: the run that is diagnosed and those that it is compared with.
  Arguments: none.
  Returns: SQL for a VARCHAR[] value.
  Example: where list_contains({{ diagnosed_runs() }}, run_id)
-#}
{%- macro diagnosed_runs() -%}
    list_prepend({{ diagnosed_run() }}, {{ diagnosed_baselines() }})
{%- endmacro -%}
