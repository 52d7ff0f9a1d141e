{#-
  Purpose: keep the rows that count: of a run that several tables of the same meaning tell of, those
    of one, and of the crawler's own manifest those that are attempts at an artifact.
  Arguments: table, name of the raw relation; alias, its alias in the query.
  Returns: SQL for a condition.
  Example: where {{ is_counted('downloads', 'downloads') }}
-#}
{%- macro is_counted(table, alias) -%}
    not exists (
        select 1
        from {{ ref('stg_uncounted_rows') }} as uncounted
        where
            uncounted.table_name = '{{ table }}'
            and uncounted.run_id = {{ alias }}.run_id
            and uncounted.recorded_id = {{ alias }}.id
            and uncounted.file_id = {{ alias }}.file_id
    )
{%- endmacro -%}
