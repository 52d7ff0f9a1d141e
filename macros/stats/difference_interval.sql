{#-
  Purpose: the interval of the difference of two independent estimates from an interval of each, by
    square-and-add. Of two proportions with Wilson's intervals it is Newcombe's method 10
    (R. G. Newcombe 1998, "Interval estimation for the difference between independent proportions",
    Stat. Med. 17: 873); of any two estimates it is the method of variance estimates recovery
    (G. Y. Zou, A. Donner 2008, "Construction of confidence limits about effect measures",
    Stat. Med. 27: 1693).
  Arguments: value, before: SQL for the estimates; around_value, around_before: SQL for structs of
    low and high at the same level.
  Returns: SQL for a struct of low and high of value - before; NULL where one is not known.
  Example: 56 of 70 and 48 of 80 give 0.0524 to 0.3339; 10 of 10 and 0 of 10 give 0.6075 to 1
-#}
{%- macro difference_interval(value, around_value, before, around_before) -%}
    case
        when {{ around_value }}.low is not null and {{ around_before }}.low is not null
            then {
                'low': {{ value }} - {{ before }} - sqrt(
                    pow({{ value }} - {{ around_value }}.low, 2)
                    + pow({{ around_before }}.high - {{ before }}, 2)
                ),
                'high': {{ value }} - {{ before }} + sqrt(
                    pow({{ around_value }}.high - {{ value }}, 2)
                    + pow({{ before }} - {{ around_before }}.low, 2)
                )
            }
    end
{%- endmacro -%}
