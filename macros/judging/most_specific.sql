{#-
  Purpose: of the targets that fit a role or host, keep its own before the one for all of the scope.
  Arguments: keys, columns that name what is judged; targets, alias of the targets, joined on
    `targets.subject is null or targets.subject = …`.
  Returns: SQL for a QUALIFY clause.
  Example: web.archive.org keeps <= 5 %, any other host <= 2 %
-#}
{%- macro most_specific(keys, targets) -%}
    qualify row_number() over (
        partition by {{ keys | join(', ') }}
        order by {{ targets }}.subject is null
    ) = 1
{%- endmacro -%}
