{#-
  Purpose: the first day of the calendar period that a day belongs to, in UTC.
  Arguments: grain, SQL for 'day' or 'week' (ISO 8601: from Monday on); day, SQL for a DATE.
  Returns: SQL for a DATE.
  Example: {{ period_start("'week'", "date '2025-10-12'") }}, a Sunday, is 2025-10-06; NULL is NULL
-#}
{%- macro period_start(grain, day) -%}
    if({{ grain }} = 'week', date_trunc('week', {{ day }}), {{ day }})::date
{%- endmacro -%}
