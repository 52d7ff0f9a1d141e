{#-
  Purpose: make room for models that an earlier release stored and this one makes a view of, or the
    other way round, and for seeds in the place of a view: dbt refuses or fails at some of these.
  Arguments: none; the selected models are meant, and all seeds where `dbt run` makes them.
  Returns: nothing. Readers are on the published snapshot, which keeps what is dropped.
  Example: do drop_other_kinds()
-#}
{%- macro drop_other_kinds() -%}
    {%- for node in graph.nodes.values()
        if node.unique_id in selected_resources and node.resource_type in ('model', 'seed')
        or node.resource_type == 'seed' and flags.WHICH == 'run' -%}
        {%- set found = adapter.get_relation(node.database, node.schema, node.alias) -%}
        {%- set kind = 'view' if node.config.materialized == 'view' else 'table' -%}
        {%- if found is not none and found.type != kind -%}
            {%- do adapter.drop_relation(found) -%}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro -%}
