{#-
  Purpose: compare words of a small vocabulary (roles, outcomes, actions) whatever their case.
  Arguments: column, a VARCHAR expression.
  Returns: SQL for the word, trimmed and in lower case; NULL where it is NULL or blank.
  Example: ' Metadata' gives metadata; '' and NULL give NULL.
-#}
{%- macro lower_word(column) -%}
    nullif(lower(case
        when regexp_matches({{ column }}, '^[\s\v]|[\s\v]$')
            then regexp_replace({{ column }}, '^[\s\v]+|[\s\v]+$', '', 'g')
        else {{ column }}
    end), '')
{%- endmacro -%}
