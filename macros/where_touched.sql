{#-
  Purpose: keep an incremental model to the runs whose marts are out of date: those a load touched
    since the last publication, or all of them after a change of models, macros or seeds.
  Arguments: condition, SQL that rows must meet too; the relation in scope has a column run_id.
  Returns: SQL for a WHERE clause, or nothing where the whole model is built and all rows count.
  Example: select * from {{ ref('int_requests') }} {{ where_touched() }}
-#}
{%- macro where_touched(condition=none) -%}
    {%- set conditions = [condition] if condition else [] -%}
    {%- if is_incremental() -%}
        {%- do conditions.append(
            'run_id in (select touched_runs.run_id from ' ~ source('session', 'touched_runs') ~ ')'
        ) -%}
    {%- endif -%}
    {%- if conditions -%}
        where {{ conditions | join(' and ') }}
    {%- endif -%}
{%- endmacro -%}
