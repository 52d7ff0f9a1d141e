{#-
  Purpose: the percentiles of the time to the first PDF, as lists, each computed in one pass.
  Arguments: none; the relation in scope is int_artifact_ttfp, grouped, with a TTFP in each row.
  Returns: SQL for columns of a select, to be taken apart by ttfp_slis().
  Example: select run_id, {{ ttfp_quantiles() }} from artifacts group by run_id
-#}
{%- macro ttfp_quantiles() -%}
    count(ttfp_ms) as ttfp_artifacts,
        quantile_cont(ttfp_ms, [0.5, 0.95, 0.99]) as ttfp_ms,
        quantile_cont(ttfp_wall_ms, [0.5, 0.95]) as ttfp_wall_ms
{%- endmacro -%}
