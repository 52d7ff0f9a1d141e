{#-
  Purpose: how many independent observations a weighted ratio is worth. Observations of one cluster
    (requests of one minute) are alike, and a row that stands for ten requests is still one. The
    variance of a ratio of cluster totals (W. G. Cochran 1977, "Sampling Techniques", 3rd ed.,
    section 9A) says what they are worth: share x (1 - share) over that variance (J. N. K. Rao,
    A. J. Scott 1992, "A simple method for the analysis of clustered binary data", Biometrics 48:
    577). It never exceeds (sum of weights)^2 / sum of squared weights (L. Kish 1965, "Survey
    Sampling"), which stands alone where a variance of the clusters would say nothing: fewer than
    regression_clusters_min of them, a share of 0 or 1, or a variance that rounding makes negative.
    Nor does it exceed the number of observations, which stands alone where weights are so small
    that their squares are 0.
  Arguments: counts, alias of a relation with the columns of int_ratio_counts, or sums of them.
  Returns: SQL for the size; NULL without observations.
  Example: 10 requests of weight 1 give 10, 10 of weight 5 give 10 too
-#}
{%- macro effective_size(counts) -%}
    {%- set share = counts ~ ".numerator / " ~ counts ~ ".denominator" -%}
    least(
        {{ counts }}.observations,
        pow({{ counts }}.denominator, 2) / nullif({{ counts }}.weights_squared, 0),
        case
            when {{ counts }}.clusters >= {{ var('regression_clusters_min') }}
                then
                    {{ counts }}.numerator * ({{ counts }}.denominator - {{ counts }}.numerator)
                    * ({{ counts }}.clusters - 1) / {{ counts }}.clusters / nullif(
                        greatest(
                            0,
                            {{ counts }}.numerators_squared
                            - 2 * {{ share }} * {{ counts }}.products
                            + pow({{ share }}, 2) * {{ counts }}.denominators_squared
                        ),
                        0
                    )
        end
    )
{%- endmacro -%}
