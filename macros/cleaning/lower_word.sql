{#-
  Purpose: compare words of a small vocabulary (roles, outcomes, actions) whatever their case.
  Arguments: column, a VARCHAR expression.
  Returns: SQL for the word, trimmed and in lower case; NULL where it is NULL or blank.
  Example: ' Metadata' gives metadata; '' and NULL give NULL.
-#}
{%- macro lower_word(column) -%}
    nullif(lower(case
        {#- a space has a code of at most 32; to look at it costs half of what a pattern does #}
        when ascii({{ column }}) <= 32 or ascii({{ column }}[-1]) <= 32
            then regexp_replace({{ column }}, '^[\s\v]+|[\s\v]+$', '', 'g')
        else {{ column }}
    end), '')
{%- endmacro -%}
