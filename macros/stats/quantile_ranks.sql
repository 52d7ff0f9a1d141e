{#-
  Purpose: between which ranks of an ordered sample a quantile of its distribution lies, whatever
    the distribution (H. A. David, H. N. Nagaraja 2003, "Order Statistics", 3rd ed., section 7.1).
    The number of observations below the quantile is binomial; its normal approximation
    (W. J. Conover 1999, "Practical Nonparametric Statistics", 3rd ed., section 3.2) is rounded
    outwards, one rank more at the upper end, so that neither side misses more often than it may.
  Arguments: quantile, SQL for it (0 to 1); size, SQL for the number of observations, which may be
    an effective one with decimals; z, SQL for the normal quantile of the level; tail, SQL for the
    part of cases that each side may miss (0.025 at 95 %).
  Returns: SQL for a struct of low and high, ranks from 1 to size; NULL where even the outermost
    observations miss too often: a sample too small for the level.
  Example: the median of 100 lies from rank 40 to 61 at 95 %; 73 observations bound a p95, 72 do not
-#}
{%- macro quantile_ranks(quantile, size, z, tail) -%}
    {%- set spread = z ~ " * sqrt(" ~ size ~ " * " ~ quantile ~ " * (1 - " ~ quantile ~ "))" -%}
    case
        when pow(greatest({{ quantile }}, 1 - {{ quantile }}), {{ size }}) <= {{ tail }}
            then {
                'low': greatest(1, floor({{ size }} * {{ quantile }} - {{ spread }})),
                'high': least({{ size }}, ceil({{ size }} * {{ quantile }} + {{ spread }}) + 1)
            }
    end
{%- endmacro -%}
