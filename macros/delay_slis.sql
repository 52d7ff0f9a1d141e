{#-
  Purpose: the SLI of the limiter's delay and what it was measured on; its one definition, for every grain.
  Arguments: none; the relation in scope is int_requests, grouped.
  Returns: SQL for columns of a select (ms). NULL where no delay was recorded.
  Example: select run_id, role, {{ delay_slis() }} from requests group by run_id, role
-#}
{%- macro delay_slis() -%}
    count(rate_delay_ms) as delayed_requests,
        quantile_cont(rate_delay_ms, 0.95) as rate_delay_p95_ms
{%- endmacro -%}
