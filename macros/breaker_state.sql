{#-
  Purpose: the many spellings of a breaker's state (OPEN, BreakerState.OPEN, HALF-OPEN,
    CircuitHalfOpenState) as one of closed, open, half_open.
  Arguments: column, a VARCHAR expression.
  Returns: SQL for the state; NULL where it is NULL or none of the three.
  Example: 'BreakerState.HALF_OPEN' gives half_open; 'CircuitOpenState' gives open;
    'unknown' and NULL give NULL.
-#}
{%- macro breaker_state(column) -%}
    case regexp_replace(
        regexp_replace(lower({{ column }}), '^.*\.|[^a-z.]', '', 'g'), '^circuit(breaker)?|state$', '', 'g'
    )
        when 'open' then 'open'
        when 'closed' then 'closed'
        when 'halfopen' then 'half_open'
        else null
    end
{%- endmacro -%}
