{#-
  Purpose: treat text of nothing but white space as missing, and leave other text as recorded.
  Arguments: column, a VARCHAR expression.
  Returns: SQL for the text, or NULL where it is NULL, empty or blank.
  Example: 'arxiv' gives arxiv; '  ' and NULL give NULL.
-#}
{%- macro non_blank(column) -%}
    case when ascii({{ column }}) > 32 or regexp_matches({{ column }}, '[^\s\v]') then {{ column }} end
{%- endmacro -%}
