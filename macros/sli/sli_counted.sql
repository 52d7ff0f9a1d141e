{#-
  Purpose: the rows that a ratio or a count tells of (the good ones, or the bad), with their weights.
  Arguments: sli, a declaration of the var slis.
  Returns: SQL for an aggregate; 0 where none of the valid rows is one, NULL without a valid row.
  Example: of four network requests, one answered 429, http_429_pct counts 1; of none, NULL
-#}
{%- macro sli_counted(sli) -%}
    {%- set valid = sli_condition(sli) -%}
    {%- set counted = sli.meta.good or sli.meta.bad or sli.meta.count -%}
    if(
            {{ sli_rows(sli.meta.fact, valid) }} is not null,
            coalesce({{ sli_rows(sli.meta.fact, '(' ~ valid ~ ') and (' ~ counted ~ ')') }}, 0),
            null
        )
{%- endmacro -%}
