{#-
  Purpose: whether a stored model is built run by run, as in a warehouse, or over all that is there, as
    straight from a file.
  Arguments: none.
  Returns: `true`, or nothing.
  Example: unit tests, whose rows are of runs that no load touched, override it: false
-#}
{%- macro is_built_by_runs() -%}
    {{- 'true' if target.name != 'direct' -}}
{%- endmacro -%}
