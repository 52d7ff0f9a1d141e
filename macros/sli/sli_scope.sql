{#-
  Purpose: what a row of a fact, grouped by sli_groups(), is about.
  Arguments: fact, a name of the var sli_facts.
  Returns: SQL for the columns scope (`run`, `run_host` …) and subject (the host …; NULL of a run).
  Example: the rows of host h have scope run_host and subject h
-#}
{%- macro sli_scope(fact) -%}
    {%- set dimensions = var('sli_facts')[fact].dimensions -%}
    case
            {%- for dimension in dimensions %}
            when grouping({{ dimension }}) = 0 then 'run_{{ dimension }}'
            {%- endfor %}
            else 'run'
        end as scope,
        coalesce({{ dimensions | join(', ') }}, null) as subject
{%- endmacro -%}
