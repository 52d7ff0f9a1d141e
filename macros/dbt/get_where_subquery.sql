{#-
  Purpose: what a data test looks at. In `dbt build` and `dbt run` that is what a load has touched
    since the last publication, as all else was audited then, and nothing of a model that is worked out
    on demand (meta: on_demand), of which nothing is published. `dbt test` looks at all rows.
  Arguments: relation, the model that is tested; a config `where` of the test counts too.
  Returns: the relation, or SQL for a subquery of it.
  Example: after 100 new rows of one run, is_sound of host_slis reads the hosts of that run
-#}
{%- macro get_where_subquery(relation) -%}
    {%- set conditions = [config.get('where')] if config.get('where') else [] -%}
    {%- if execute and flags.WHICH == 'build' and target.name != 'direct' -%}
        {%- set parts = touched_parts() -%}
        {%- set runs = parts[0] if parts | length == 1 else none -%}
        {%- for node in graph.nodes.values()
            if node.resource_type == 'model' and node.alias == relation.identifier
            and node.schema == relation.schema and 'run_id' in node.columns
        -%}
            {%- if node.config.meta.on_demand and node.config.materialized == 'view' -%}
                {%- do conditions.append('false') -%}
            {%- else -%}
                {%- do conditions.append('(run_id is null or ' ~ touched(runs) ~ ')') -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if conditions -%}
        (select * from {{ relation }} where {{ conditions | join(' and ') }}) as tested
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro -%}
