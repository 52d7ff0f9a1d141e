{#-
  Purpose: the SLIs of artifacts and what they were measured on; their one definition, for every grain.
  Arguments: none; the relation in scope is int_artifacts, grouped.
  Returns: SQL for columns of a select.
  Example: select run_id, {{ artifact_slis() }} from artifacts group by run_id
-#}
{%- macro artifact_slis() -%}
    count(*) as artifacts,
        -- count() of a NULL flag is unknown, not zero: the file lacks a column to judge by
        case when count(is_success) > 0 then count(*) filter (is_success) end as artifacts_success,
        {{ percentage('count(*) filter (is_success)', 'count(is_success)') }} as yield_pct,
        case when count(is_corrupt) > 0 then count(*) filter (is_corrupt) end as corruption_count,
        sum(saved_bytes) / 1048576.0 as dedupe_saved_mb
{%- endmacro -%}
