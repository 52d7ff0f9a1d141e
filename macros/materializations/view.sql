{#-
  Purpose: make a view with one statement. dbt's own way makes it under another name, renames it and
    drops what it replaced; DuckLake reads its catalog again for that, and a first build makes
    thirty views. Readers are on the published snapshot and never see the change.
  Arguments: none; the model's config and compiled SQL are in scope.
  Returns: dbt's list of what was made.
  Example: +materialized: view
-#}
{%- materialization view, adapter='duckdb' -%}
    {%- set made = create_or_replace_view() -%}
    {%- do adapter.commit() -%}
    {{ return(made) }}
{%- endmaterialization -%}
