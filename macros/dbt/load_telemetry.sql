{#-
  Purpose: load what is new in the source files before models are built (on-run-start).
  Arguments: none; the files are those of `docstokg-telemetry run`, or DOCSTOKG_TELEMETRY_DB_PATH.
  Returns: nothing. Only `dbt run` and `dbt build` load; the other commands just get the tables
    they compile against. `dbt run`, which builds no seeds, has them made where they are missing
    or have changed. Where the target has no loader (direct) it does nothing.
  Example: on-run-start: "{{ load_telemetry() }}"
-#}
{%- macro load_telemetry() -%}
    {%- if execute and target.name != 'direct' -%}
        {%- if flags.WHICH in ('run', 'build') -%}
            {%- do drop_other_kinds() -%}
        {%- endif -%}
        {%- set seeds = [] -%}
        {%- if flags.WHICH == 'run' -%}
            {%- for node in graph.nodes.values() if node.resource_type == 'seed' -%}
                {%- do seeds.append({
                    'schema': node.schema,
                    'name': node.alias,
                    'path': node.original_file_path,
                    'types': node.config.column_types,
                }) -%}
            {%- endfor -%}
        {%- endif -%}
        {%- do adapter.store_relation(
            'dbt_plugin', none, [], '', '',
            {
                'step': 'load' if flags.WHICH in ('run', 'build') else 'prepare',
                'project': invocation_args_dict.project_dir | string,
                'seeds': seeds,
            }
        ) -%}
    {%- endif -%}
{%- endmacro -%}
