{#-
  Purpose: build stored models and seeds anew, whatever command builds them, when models or seeds
    have changed since the last publication: their columns may be others, and rows of a run that
    the new models no longer have must go too.
  Arguments: none; the node's config is in scope.
  Returns: true or false. A config full_refresh goes before it, as in dbt's own.
  Example: called by dbt for each stored model and each seed.
-#}
{%- macro should_full_refresh() -%}
    {%- set asked = config.get('full_refresh') -%}
    {%- if asked is none -%}
        {%- set asked = flags.FULL_REFRESH -%}
        {%- if execute and not asked and target.name != 'direct' -%}
            {%- set found = run_query(
                "select 1 from session.main.rebuilt where resource_type = '"
                ~ model.resource_type ~ "'"
            ) -%}
            {%- set asked = found.rows | length > 0 -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(asked) }}
{%- endmacro -%}
