{#-
  Purpose: make a view with one statement, and none where it is there already. dbt's own way makes it
    under another name, renames it and drops what it replaced; DuckLake reads its catalog again for
    that, and a build has ninety views. Readers are on the published snapshot and never see the
    change.
  Arguments: none; the model's config and compiled SQL are in scope.
  Returns: dbt's list of what was made.
  Example: +materialized: view
-#}
{%- materialization view, adapter='duckdb' -%}
    {%- set old = load_cached_relation(this) -%}
    {%- if old is not none and old.is_view and not should_full_refresh() and target.name != 'direct' -%}
        {%- call noop_statement('main', 'current') -%}{%- endcall -%}
        {{ return({'relations': [this]}) }}
    {%- endif -%}
    {%- set made = create_or_replace_view() -%}
    {%- do adapter.commit() -%}
    {{ return(made) }}
{%- endmaterialization -%}
