{#-
  Purpose: a text as SQL.
  Arguments: text, which may be empty, or none.
  Returns: SQL for a VARCHAR; NULL for none, and for a key that a declaration does not have.
  Example: sql_text('ratio') gives 'ratio'::varchar; of no characters it gives ''::varchar
-#}
{%- macro sql_text(text) -%}
    {%- if text is undefined or text is none -%}
        null::varchar
    {%- else -%}
        '{{ text | replace("'", "''") }}'::varchar
    {%- endif -%}
{%- endmacro -%}
