{#-
  Purpose: load what is new in the source files before models are built (on-run-start).
  Arguments: none; the files are those of `docstokg-telemetry run`, or DOCSTOKG_TELEMETRY_DB_PATH.
  Returns: nothing. Only `dbt run` and `dbt build` load; the other commands just get the tables
    they compile against. Where the target has no loader (direct) it does nothing.
  Example: on-run-start: "{{ load_telemetry() }}"
-#}
{%- macro load_telemetry() -%}
    {%- if execute and target.name != 'direct' -%}
        {%- do adapter.store_relation(
            'dbt_plugin', none, [], '', '',
            {
                'step': 'load' if flags.WHICH in ('run', 'build') else 'prepare',
                'project': invocation_args_dict.project_dir | string,
            }
        ) -%}
    {%- endif -%}
{%- endmacro -%}
