{#-
  Purpose: the value that a raw row holds for a column that it does not fit.
  Arguments: column, the column's name. Reads the column misfits of the raw relation in scope.
  Returns: SQL for the value as recorded (VARCHAR); NULL where the value fits, or there is none.
  Example: misfit('ts') is x'00ff' where ts holds that blob.
-#}
{%- macro misfit(column) -%}
    list_filter(
        from_json(misfits, '[{"column": "varchar", "value": "varchar"}]'),
        found -> found['column'] = '{{ column }}'
    )[1]['value']
{%- endmacro -%}
