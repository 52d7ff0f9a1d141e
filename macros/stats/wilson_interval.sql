{#-
  Purpose: the score interval of one proportion (E. B. Wilson 1927, "Probable inference, the law of
    succession, and statistical inference", J. Am. Stat. Assoc. 22: 209). It lies within 0 and 1 and
    holds where nothing, or everything, was a success.
  Arguments: share, SQL for successes / trials; size, SQL for the number of trials, which may be an
    effective one with decimals; z, SQL for the normal quantile of the level.
  Returns: SQL for a struct of low and high; NULL where there were no trials.
  Example: 81 of 263 gives 0.2553 to 0.3662 at 95 %; 0 of 20 gives 0 to 0.1611
-#}
{%- macro wilson_interval(share, size, z) -%}
    {%- set square = "pow(" ~ z ~ ", 2)" -%}
    {%- set centre = "(" ~ share ~ " + " ~ square ~ " / (2 * " ~ size ~ "))" -%}
    {%- set half -%}
        {{ z }} * sqrt(
            ({{ share }} * (1 - {{ share }}) + {{ square }} / (4 * {{ size }})) / {{ size }}
        )
    {%- endset -%}
    {%- set scale = "(1 + " ~ square ~ " / " ~ size ~ ")" -%}
    case
        when {{ size }} > 0 and {{ share }} is not null
            then {
                -- what rounding leaves of nothing is no bound
                'low': if({{ share }} <= 0, 0, greatest(0, ({{ centre }} - {{ half }}) / {{ scale }})),
                'high': if({{ share }} >= 1, 1, least(1, ({{ centre }} + {{ half }}) / {{ scale }}))
            }
    end
{%- endmacro -%}
