{#-
  Purpose: a host's name as it is stored and compared. DNS knows no case, and a final dot only says
    that the name is complete.
  Arguments: column, a VARCHAR expression.
  Returns: SQL for the name in lower case, trimmed, without final dots; NULL where nothing is left.
    A port, brackets and an internationalised name stay as recorded.
  Example: 'Example.ORG.' gives example.org; '[::1]:80' gives [::1]:80; ' ', '.' and NULL give NULL.
-#}
{%- macro host_name(column) -%}
    {%- set word = lower_word(column) -%}
    case when ends_with({{ column }}, '.') or ascii({{ column }}[-1]) <= 32
        then nullif(rtrim({{ word }}, '.'), '')
        else {{ word }}
    end
{%- endmacro -%}
