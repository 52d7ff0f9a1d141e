{#-
  Purpose: the quantile of the standard normal distribution, which no function of DuckDB gives.
    Acklam's rational approximation, relative error below 1.2e-9 (P. J. Acklam, "An algorithm for
    computing the inverse normal cumulative distribution function", 2003).
  Arguments: probability, SQL for a number above 0.5 and below 1.
  Returns: SQL for the quantile (DOUBLE); NULL for NULL.
  Example: 0.975 gives 1.959964; 0.995 gives 2.575829
-#}
{%- macro normal_quantile(probability) -%}
    {%- set r = "pow(" ~ probability ~ " - 0.5, 2)" -%}
    {%- set t = "sqrt(-2 * ln(1 - " ~ probability ~ "))" -%}
    case
        when {{ probability }} <= 0.97575
            then
                (((((-39.69683028665376 * {{ r }} + 220.9460984245205) * {{ r }}
                - 275.9285104469687) * {{ r }} + 138.3577518672690) * {{ r }}
                - 30.66479806614716) * {{ r }} + 2.506628277459239) * ({{ probability }} - 0.5)
                / (((((-54.47609879822406 * {{ r }} + 161.5858368580409) * {{ r }}
                - 155.6989798598866) * {{ r }} + 66.80131188771972) * {{ r }}
                - 13.28068155288572) * {{ r }} + 1)
        else
            -(((((-0.007784894002430293 * {{ t }} - 0.3223964580411365) * {{ t }}
            - 2.400758277161838) * {{ t }} - 2.549732539343734) * {{ t }}
            + 4.374664141464968) * {{ t }} + 2.938163982698783)
            / ((((0.007784695709041462 * {{ t }} + 0.3224671290700398) * {{ t }}
            + 2.445134137142996) * {{ t }} + 3.754408661907416) * {{ t }} + 1)
    end
{%- endmacro -%}
