{#-
  Purpose: dbt's list of a schema's relations, asked for in two queries. The adapter's single one
    lists tables and views at the same time on two threads, and DuckDB's reader of SQLite, which
    holds the catalog, does not bear that: now and then the process dies
    (https://github.com/duckdb/duckdb-sqlite/issues/176).
  Arguments: schema_relation, the schema.
  Returns: a list of (database, name, schema, type).
  Example: called by dbt when it fills its cache.
-#}
{%- macro duckdb__list_relations_without_caching(schema_relation) -%}
    {%- set found = [] -%}
    {%- for kind in ['table', 'view'] -%}
        {%- set listed = run_query(
            "select database_name, " ~ kind ~ "_name, schema_name, '" ~ kind ~ "' as kind "
            ~ "from duckdb_" ~ kind ~ "s() where lower(schema_name) = '"
            ~ (schema_relation.schema | lower) ~ "' and lower(database_name) = '"
            ~ (schema_relation.database | lower) ~ "'"
        ) -%}
        {%- for row in listed.rows -%}
            {%- do found.append((row[0], row[1], row[2], row[3])) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro -%}
