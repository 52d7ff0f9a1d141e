{#-
  Purpose: a count for people, where sharing out or a mean has made a fraction of it.
  Arguments: amount, SQL for a number of whole things, not below 0.
  Returns: SQL for text; NULL where the amount is.
  Example: 1200 gives '1,200', 3.5 'about 4', 0.2 'fewer than 1'
-#}
{%- macro told_count(amount) -%}
    case
            when abs({{ amount }} - round({{ amount }})) < 1e-6
                then format('{:,.0f}', {{ amount }})
            when round({{ amount }}) < 1 then 'fewer than 1'
            else format('about {:,.0f}', round({{ amount }}))
        end
{%- endmacro -%}
