{#-
  Purpose: a word of a declaration as SQL.
  Arguments: text, a word, or none.
  Returns: SQL for a VARCHAR; NULL for none.
  Example: sql_text('ratio') gives 'ratio'::varchar
-#}
{%- macro sql_text(text) -%}
    {{ "'" ~ text | replace("'", "''") ~ "'" if text else 'null' }}::varchar
{%- endmacro -%}
