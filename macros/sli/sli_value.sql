{#-
  Purpose: an SLI over the rows of its fact; its one definition, for every grain.
  Arguments: sli, a declaration of the var slis.
  Returns: SQL for an aggregate; NULL where nothing was measured.
  Example: [0, 10, 20] ms give a p95 of 19; 1 of 4 network requests answered 429 gives 25
-#}
{%- macro sli_value(sli) -%}
    {%- if sli.meta.quantile is defined -%}
        {#- all quantiles of a column are taken in one pass -#}
        {%- set quantiles = [] -%}
        {%- for other in var('slis') if other.meta.column and other.meta.column == sli.meta.column -%}
            {%- do quantiles.append(other.meta.quantile) -%}
        {%- endfor -%}
        quantile_cont({{ sli.meta.column }}, {{ quantiles }})
        [{{ quantiles.index(sli.meta.quantile) + 1 }}]
    {%- elif sli.meta.sum is defined -%}
        sum({{ sli.meta.sum }})
    {%- elif sli.meta.count is defined -%}
        {{ sli_counted(sli) }}
    {%- else -%}
        {{ percentage(sli_counted(sli), sli_rows(sli.meta.fact, sli_condition(sli))) }}
    {%- endif -%}
{%- endmacro -%}
