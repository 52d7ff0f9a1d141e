{#-
  Purpose: the smallest value that a share of all reaches (nearest rank). In decimals, as 0.1 + 0.2 is
    not 0.3 and a rank too low would meet less than was asked for.
  Arguments: amounts, SQL for a list, the best first; share_pct, SQL for a percentage.
  Returns: SQL for a value of the list; NULL where that is not finite, or the list empty or NULL.
  Example: 75 % of [1, 2, 3, 9] gives 3
-#}
{%- macro nearest_rank(amounts, share_pct) -%}
    {%- set rank = "ceil(" ~ share_pct ~ "::decimal(9, 4) * len(" ~ amounts ~ ") / 100)::bigint" -%}
    {%- set reached = amounts ~ "[" ~ rank ~ "]" -%}
    if(isfinite({{ reached }}), {{ reached }}, null)
{%- endmacro -%}
