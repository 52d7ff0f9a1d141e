{#-
  Purpose: the level of the intervals of regressions: what the reader asks for, else the var.
  Arguments: none.
  Returns: SQL for a percentage (DOUBLE).
  Example: 1 - {{ confidence() }} / 100 is 0.05 with the default
-#}
{%- macro confidence() -%}
    {{ asked('regression_confidence_pct', 'double', var('regression_confidence_pct')) }}
{%- endmacro -%}
