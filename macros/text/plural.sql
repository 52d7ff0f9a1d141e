{#-
  Purpose: a count of things in words.
  Arguments: amount, SQL for a whole number; noun, its name for one; many, its name for several, by
    default with an s.
  Returns: SQL for a VARCHAR.
  Example: 1 gives '1 opening', 2 '2 openings', 1234 '1,234 openings'
-#}
{%- macro plural(amount, noun, many=none) -%}
    format('{:,} ', ({{ amount }})::bigint) || if({{ amount }} = 1, '{{ noun }}', '{{ many or noun ~ 's' }}')
{%- endmacro -%}
