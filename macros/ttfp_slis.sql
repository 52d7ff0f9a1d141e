{#-
  Purpose: the SLIs of the time to the first PDF; their one definition, for every grain.
  Arguments: none; the relation in scope has the columns of ttfp_quantiles().
  Returns: SQL for columns of a select (ms).
  Example: [0, 10, 20] gives ttfp_p50_ms 0, ttfp_p95_ms 10, ttfp_p99_ms 20
-#}
{%- macro ttfp_slis() -%}
    ttfp_artifacts,
        ttfp_ms[1] as ttfp_p50_ms,
        ttfp_ms[2] as ttfp_p95_ms,
        ttfp_ms[3] as ttfp_p99_ms,
        ttfp_wall_ms[1] as ttfp_wall_p50_ms,
        ttfp_wall_ms[2] as ttfp_wall_p95_ms
{%- endmacro -%}
