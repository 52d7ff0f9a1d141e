{#-
  Purpose: the good rows of a ratio, with their weights; what an error budget of events counts.
  Arguments: sli, a declaration of the var slis with `good` or `bad`.
  Returns: SQL for an aggregate; NULL without a valid row.
  Example: of four network requests, one answered 429, http_429_pct has 3
-#}
{%- macro sli_good(sli) -%}
    {%- if sli.meta.good -%}
        {{ sli_counted(sli) }}
    {%- else -%}
        {{ sli_rows(sli.meta.fact, sli_condition(sli)) }} - {{ sli_counted(sli) }}
    {%- endif -%}
{%- endmacro -%}
