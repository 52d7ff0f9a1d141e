{#-
  Purpose: whether an SLI counts some of the valid rows of its fact, as its percent or its number.
  Arguments: sli, a declaration of the var slis.
  Returns: `true`, or nothing.
  Example: http_429_pct and corruption_count are such; a percentile is not
-#}
{%- macro sli_is_ratio(sli) -%}
    {{- 'true' if sli.meta.good or sli.meta.bad or sli.meta.count -}}
{%- endmacro -%}
