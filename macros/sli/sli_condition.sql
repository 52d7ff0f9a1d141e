{#-
  Purpose: which rows of its fact an SLI is measured over.
  Arguments: sli, a declaration of the var slis.
  Returns: SQL for a condition: its own `valid`, or else that of its sample; `true` for all rows.
  Example: http_429_pct gives is_network
-#}
{%- macro sli_condition(sli) -%}
    {%- do sli_check(sli) -%}
    {%- set samples = var('sli_samples') | selectattr('name', 'equalto', sli.meta.sample) | list -%}
    {%- if not samples or samples[0].meta.fact != sli.meta.fact -%}
        {{ exceptions.raise_compiler_error(
            'dbt_project.yml, slis: ' ~ sli.name ~ ': its fact ' ~ sli.meta.fact
            ~ ' has no sample "' ~ sli.meta.sample ~ '" in sli_samples'
        ) }}
    {%- endif -%}
    {{ sli.meta.valid or samples[0].meta.where or 'true' }}
{%- endmacro -%}
