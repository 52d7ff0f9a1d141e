{#-
  Purpose: the many spellings of a breaker's state (OPEN, BreakerState.OPEN, HALF-OPEN,
    CircuitHalfOpenState, <State.OPEN: 'open'>) as one of closed, open, half_open.
  Arguments: column, a VARCHAR expression.
  Returns: SQL for the state; NULL where it is NULL or none of the three.
  Example: 'BreakerState.HALF_OPEN' gives half_open; 'CircuitOpenState' gives open;
    'unknown' and NULL give NULL.
-#}
{%- macro breaker_state(column) -%}
    case
        when contains(lower({{ column }}), 'half') then 'half_open'
        when contains(lower({{ column }}), 'open') then 'open'
        when contains(lower({{ column }}), 'closed') then 'closed'
        else null
    end
{%- endmacro -%}
