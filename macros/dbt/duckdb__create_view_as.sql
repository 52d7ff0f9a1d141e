{#-
  Purpose: the statement that makes a view or puts it in the place of the one before, so that the
    materialization of views needs no second name, no renaming and no dropping.
  Arguments: relation, the view; sql, its SELECT.
  Returns: SQL for one statement, after the check of the columns where the model has a contract.
  Example: called by dbt for each view.
-#}
{%- macro duckdb__create_view_as(relation, sql) -%}
    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif -%}
    create or replace view {{ relation }} as (
        {{ sql }}
    );
{%- endmacro -%}
