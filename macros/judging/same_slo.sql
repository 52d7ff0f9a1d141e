{#-
  Purpose: join what is about the same SLO: its name, its scope, and the subject, which is NULL for runs
    as such.
  Arguments: one, other: aliases of two relations; subject, the other's column with the subject.
  Returns: SQL for a condition.
  Example: on {{ same_slo('verdicts', 'targets') }}
-#}
{%- macro same_slo(one, other, subject='subject') -%}
    {{ one }}.slo = {{ other }}.slo and {{ one }}.scope = {{ other }}.scope
    and {{ one }}.subject is not distinct from {{ other }}.{{ subject }}
{%- endmacro -%}
