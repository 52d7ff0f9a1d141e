{#-
  Purpose: what a run is to be compared with, which the views of models/answers read when they
    are read.
  Arguments: none.
  Returns: SQL for a VARCHAR value: previous, last-week, baseline (the runs of
    regression_baselines) or a run id; NULL where nobody asked.
  Example: case {{ diagnosed_against() }} when 'previous' then is_previous end
-#}
{%- macro diagnosed_against() -%}
    cast(getvariable('diagnosed_against') as varchar)
{%- endmacro -%}
