{#-
  Purpose: the sums over requests that the SLIs of requests are made of; every grain takes these.
  Arguments: none; the relation in scope is int_requests, grouped.
  Returns: SQL for columns of a select. NULL where no request counts.
  Example: select run_id, {{ request_sums() }} from requests group by run_id
-#}
{%- macro request_sums() -%}
    sum(sample_weight) as requests,
        sum(sample_weight) filter (is_network) as network_requests,
        sum(sample_weight) filter (is_429) as http_429_requests,
        sum(sample_weight) filter (is_metadata) as metadata_requests,
        sum(sample_weight) filter (is_metadata and is_cache_hit) as metadata_cache_hits
{%- endmacro -%}
