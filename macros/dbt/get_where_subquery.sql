{#-
  Purpose: what a data test looks at: the rows that are audited (macro audited), but in `dbt build` no
    row of a view that is worked out on demand (meta: on_demand), as nothing of it is published.
  Arguments: relation, the model that is tested; a config `where` of the test counts too.
  Returns: the relation, or SQL for a subquery of it.
  Example: after 100 new rows of one run, is_sound of host_slis reads the hosts of that run
-#}
{%- macro get_where_subquery(relation) -%}
    {%- set conditions = [config.get('where')] if config.get('where') else [] -%}
    {%- if execute and flags.WHICH == 'build' and target.name != 'direct' -%}
        {%- for node in graph.nodes.values()
            if node.resource_type == 'model' and node.alias == relation.identifier
            and node.schema == relation.schema and 'run_id' in node.columns
        -%}
            {%- set is_unpublished = node.config.meta.on_demand
                and node.config.materialized == 'view' -%}
            {%- do conditions.append('false' if is_unpublished else audited()) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if conditions -%}
        (select * from {{ relation }} where {{ conditions | join(' and ') }}) as tested
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro -%}
