{#-
  Purpose: dbt's incremental strategy `touched_runs`: replace the rows of all touched runs, also of
    those that have no rows any more, which delete+insert would keep. Rows that name no run belong
    to no touched run and are replaced each time.
  Arguments: arguments, as dbt hands them to a strategy: target_relation, temp_relation (the new
    rows) and dest_columns.
  Returns: SQL of two statements, which dbt commits together.
  Example: +incremental_strategy: touched_runs; when the only half-done download of a touched run is
    complete, its row leaves half_done_artifacts though the run has no new row there.
-#}
{%- macro get_incremental_touched_runs_sql(arguments) -%}
    {%- set columns = get_quoted_csv(arguments.dest_columns | map(attribute='name')) -%}
    delete from {{ arguments.target_relation }}
    where
        run_id is null
        or run_id in (select touched_runs.run_id from {{ source('session', 'touched_runs') }});

    insert into {{ arguments.target_relation }} ({{ columns }})
    select {{ columns }} from {{ arguments.temp_relation }}
{%- endmacro -%}
