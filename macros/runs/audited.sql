{#-
  Purpose: the rows that a data test looks at. In `dbt build` these are of runs that a load has touched
    since the last publication, as all else was audited then, or of no run; in `dbt test` all.
  Arguments: none; the relation in scope has a column run_id.
  Returns: SQL for a condition.
  Example: after a load of run r, where {{ audited() }} keeps rows of r and rows without a run
-#}
{%- macro audited() -%}
    {%- if execute and flags.WHICH == 'build' and target.name != 'direct' -%}
        {%- set parts = touched_parts() -%}
        (run_id is null or {{ touched(parts[0] if parts | length == 1 else none) }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro -%}
