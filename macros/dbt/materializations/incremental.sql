{#-
  Purpose: store a model run by run: the rows of all touched runs are replaced, also of those that have
    none any more, which delete+insert would keep. Runs are built in parts of at most so many raw rows
    (exporter/touched.py), one after another and committed together, so that memory is bounded
    whatever the history. Rows that name no run are replaced each time, with the first part; a model
    that has such rows says `where run_id is null or {{ touched() }}`.
  Arguments: none; the model's config and compiled SQL are in scope. Where the SQL has where_touched(),
    it reads a part of the runs; without it, all that is there, at once.
  Returns: dbt's list of what was made.
  Example: +materialized: incremental; when the only half-done download of a touched run is complete,
    its row leaves the model though the run has no new row there.
-#}
{%- materialization incremental, adapter='duckdb' -%}
    {%- set old = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='table') -%}
    {%- set is_new = old is none or not old.is_table or should_full_refresh() -%}
    {%- set parts = touched_parts() if touched() in sql else [none] -%}
    {{ run_hooks(pre_hooks) }}
    {%- if is_new -%}
        {{ drop_relation_if_exists(old) }}
    {%- endif -%}
    {%- for runs in parts -%}
        {%- set of_part = sql if loop.first else sql | replace('run_id is null or ' ~ touched(), touched()) -%}
        {%- set select = of_part | replace(touched(), touched(runs)) -%}
        {%- if loop.first and is_new -%}
            {%- call statement('main') -%}
                {{ create_table_as(false, target, select) }}
            {%- endcall -%}
        {%- elif loop.first -%}
            {%- call statement('main') -%}
                delete from {{ target }} where run_id is null or {{ touched(runs if parts | length == 1 else none) }};
                insert into {{ target }} by name ({{ select }})
            {%- endcall -%}
        {%- else -%}
            {%- call statement('part') -%}
                insert into {{ target }} by name ({{ select }})
            {%- endcall -%}
        {%- endif -%}
    {%- endfor -%}
    {{ run_hooks(post_hooks) }}
    {%- do adapter.commit() -%}
    {{ return({'relations': [target]}) }}
{%- endmaterialization -%}
