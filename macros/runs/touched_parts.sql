{#-
  Purpose: the parts in which the touched runs are built, so that each fits into memory.
  Arguments: none.
  Returns: a list of lists of run ids; [none], for all touched runs at once, where they are one part of
    more than fifty runs, or none.
  Example: three runs of a million rows each give [['a', 'b'], ['c']]
-#}
{%- macro touched_parts() -%}
    {%- set runs = source('session', 'touched_runs') -%}
    {%- set found = run_query('select part, run_id from ' ~ runs ~ ' order by part, run_id') -%}
    {%- set parts = [] -%}
    {%- for part in found.columns[0].values() | unique -%}
        {%- set ids = [] -%}
        {%- for row in found.rows if row[0] == part -%}
            {%- do ids.append(row[1]) -%}
        {%- endfor -%}
        {%- do parts.append(ids) -%}
    {%- endfor -%}
    {%- if not parts or parts | length == 1 and parts[0] | length > 50 -%}
        {%- set parts = [none] -%}
    {%- endif -%}
    {{ return(parts) }}
{%- endmacro -%}
