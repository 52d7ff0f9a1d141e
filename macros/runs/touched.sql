{#-
  Purpose: which runs a build is about: those that loads have touched since the last publication, or
    all of them after a change of models, macros or seeds.
  Arguments: runs, the ids of some of them, or none for all; the relation in scope has a column run_id.
  Returns: SQL for a condition. Of up to fifty runs it is a list of literals, which DuckDB takes down to
    the files that it reads.
  Example: touched(['r']) gives run_id = 'r'::varchar
-#}
{%- macro touched(runs=none) -%}
    {%- set literals = [] -%}
    {%- for run in runs or [] -%}
        {%- do literals.append(sql_text(run)) -%}
    {%- endfor -%}
    {%- if literals | length == 1 -%}
        run_id = {{ literals[0] }}
    {%- elif literals -%}
        run_id in ({{ literals | join(', ') }})
    {%- else -%}
        run_id in (select touched_runs.run_id from {{ source('session', 'touched_runs') }})
    {%- endif -%}
{%- endmacro -%}
