{#-
  Purpose: a value short enough for a label of a metric: names come from files, and Prometheus
    refuses a scrape over its limit of a label's length. What is cut ends in a part of its SHA-256,
    so that two long names stay apart.
  Arguments: value, SQL for a VARCHAR.
  Returns: SQL for a VARCHAR of at most `label_characters` characters (dbt_project.yml).
  Example: 'api.example.org' stays; of 300 times 'h' the first 187 stay, and '…' and the first 12
    hex digits of the SHA-256 follow; NULL gives NULL.
-#}
{%- macro label_value(value) -%}
    {%- set most = var('label_characters') | int -%}
    case
        when length({{ value }}) > {{ most }}
            then left({{ value }}, {{ most - 13 }}) || '…' || left(sha256({{ value }}), 12)
        else {{ value }}
    end
{%- endmacro -%}
