{#-
  Purpose: let readers see what was built, if all of it was built and no test failed (on-run-end).
  Arguments: results, dbt's list of results.
  Returns: nothing. Publishes after `dbt run` and `dbt build` of the whole project; a selection,
    an error or a failed test leaves the last published state in place and says so.
  Example: on-run-end: "{{ publish_results(results) }}"
-#}
{%- macro publish_results(results) -%}
    {%- if execute and target.name != 'direct' and flags.WHICH in ('run', 'build') -%}
        {%- set outcomes = {} -%}
        {%- for result in results -%}
            {%- do outcomes.update({result.node.unique_id: result.status | string}) -%}
        {%- endfor -%}
        {%- set needed = [] -%}
        {%- for node in graph.nodes.values() -%}
            {%- if node.resource_type in ('model', 'seed') and node.config.enabled
                and node.config.materialized != 'ephemeral' -%}
                {%- do needed.append({
                    'id': node.unique_id,
                    'schema': node.schema,
                    'name': node.alias,
                    'is_stored': node.resource_type == 'model'
                        and node.config.materialized == 'incremental',
                }) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do adapter.store_relation(
            'dbt_plugin', none, [], '', '',
            {
                'step': 'publish',
                'project': invocation_args_dict.project_dir | string,
                'outcomes': outcomes,
                'needed': needed,
            }
        ) -%}
    {%- endif -%}
{%- endmacro -%}
