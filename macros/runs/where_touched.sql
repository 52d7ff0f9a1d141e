{#-
  Purpose: keep a stored model to the touched runs; the materialization puts a part of them in the place
    of the condition, one after another.
  Arguments: condition, SQL that rows must meet too; the relation in scope has a column run_id.
  Returns: SQL for a WHERE clause, or nothing where the model is built over all that is there.
  Example: select * from {{ ref('int_requests') }} {{ where_touched() }}
-#}
{%- macro where_touched(condition=none) -%}
    {%- set conditions = [condition] if condition else [] -%}
    {%- if is_built_by_runs() == 'true' -%}
        {%- do conditions.append(touched()) -%}
    {%- endif -%}
    {%- if conditions -%}
        where {{ conditions | join(' and ') }}
    {%- endif -%}
{%- endmacro -%}
