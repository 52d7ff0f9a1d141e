{#-
  Purpose: whether a reader asks for days or weeks. Where runs alone are asked for, this is known
    before a row is read, and nothing is; a join with no period would read everything first.
  Arguments: none.
  Returns: SQL for a BOOLEAN that depends on no row.
  Example: false after set variable trend_by = 'run'; true where the variable is not set
-#}
{%- macro periods_asked() -%}
    {{ asked('trend_by', 'varchar', "'day'") }} <> 'run'
{%- endmacro -%}
