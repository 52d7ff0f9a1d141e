{#-
  Purpose: keep an incremental model to the runs whose marts are out of date: those a load touched
    since the last publication, or all of them after a change of models, macros or seeds.
  Arguments: none; the relation in scope has a column run_id.
  Returns: SQL for a WHERE clause, or nothing where the whole model is built.
  Example: select * from {{ ref('int_requests') }} {{ where_touched() }}
-#}
{%- macro where_touched() -%}
    {%- if is_incremental() -%}
        where run_id in (select touched_runs.run_id from {{ source('session', 'touched_runs') }})
    {%- endif -%}
{%- endmacro -%}
