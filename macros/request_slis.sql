{#-
  Purpose: the SLIs of requests and what they were measured on; their one definition, for every grain.
  Arguments: none; the relation in scope has the columns of request_sums().
  Returns: SQL for columns of a select. A ratio of nothing is NULL, a count of nothing 0.
  Example: no network request: network_requests 0, http_429_pct NULL
-#}
{%- macro request_slis() -%}
    requests,
        coalesce(network_requests, 0) as network_requests,
        coalesce(network_requests, 0) - coalesce(http_429_requests, 0) as network_requests_not_429,
        coalesce(metadata_requests, 0) as metadata_requests,
        coalesce(metadata_cache_hits, 0) as metadata_cache_hits,
        {{ percentage('coalesce(http_429_requests, 0)', 'network_requests') }} as http_429_pct,
        {{ percentage('coalesce(metadata_cache_hits, 0)', 'metadata_requests') }} as cache_hit_pct
{%- endmacro -%}
