{#-
  Purpose: why a raw row cannot be used; the one rule that splits rows into loaded and rejected.
  Arguments: seconds, SQL for the row's time or none where the table's time is optional.
  Returns: SQL for the reason (VARCHAR), or NULL for a row that is loaded. Reads the columns
    run_id and defect of the raw relation in scope.
  Example: a row without run_id gives 'no usable run_id'; a good row gives NULL.
-#}
{%- macro row_defect(seconds=none) -%}
    case
        when defect is not null then defect
        when {{ non_blank('run_id') }} is null then 'no usable run_id'
        {%- if seconds is not none %}
        when {{ seconds }} is null then 'no usable time'
        {%- endif %}
    end
{%- endmacro -%}
