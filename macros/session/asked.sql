{#-
  Purpose: what whoever reads a view asks of it, without a rebuild: a variable of the reader's own
    DuckDB session, else a default.
  Arguments: name, the variable's; type, what it is cast to; fallback, SQL for the default, of the
    columns in scope too.
  Returns: SQL for an expression; a variable that is not set, or is NULL, gives the default.
  Example: {{ asked('tune_share_pct', 'double', '90') }} is 95 after set variable tune_share_pct = 95
-#}
{%- macro asked(name, type, fallback) -%}
    coalesce(getvariable('{{ name }}')::{{ type }}, {{ fallback }})
{%- endmacro -%}
