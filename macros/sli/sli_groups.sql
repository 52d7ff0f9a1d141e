{#-
  Purpose: the groups of a fact: as a whole, and by each of its dimensions.
  Arguments: fact, a name of the var sli_facts; keys, lists of columns, each grouped in all these ways.
  Returns: SQL for grouping sets.
  Example: sli_groups('artifacts', [['run_id']]) gives (run_id), (run_id, resolver)
-#}
{%- macro sli_groups(fact, keys) -%}
    {%- set sets = [] -%}
    {%- for columns in keys -%}
        {%- do sets.append('(' ~ columns | join(', ') ~ ')') -%}
        {%- for dimension in var('sli_facts')[fact].dimensions -%}
            {%- do sets.append('(' ~ (columns + [dimension]) | join(', ') ~ ')') -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ sets | join(', ') }}
{%- endmacro -%}
