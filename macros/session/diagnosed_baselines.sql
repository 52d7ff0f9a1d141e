{#-
  Purpose: the runs that the diagnosed run is compared with, as diagnosis_baselines has them: a
    variable too, so that of other runs nothing is read.
  Arguments: none.
  Returns: SQL for a VARCHAR[] value; empty where nobody asked.
  Example: where list_contains({{ diagnosed_baselines() }}, run_id)
-#}
{%- macro diagnosed_baselines() -%}
    coalesce(getvariable('diagnosed_baselines')::varchar[], [])
{%- endmacro -%}
