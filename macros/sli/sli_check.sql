{#-
  Purpose: refuse a declaration with a typing error, which would else be an SLI without data.
  Arguments: sli, a declaration of the var slis.
  Returns: nothing. Raises a compiler error that names the SLI and what is wrong with it.
  Example: a `quantil`, a fact that is not in sli_facts, a dimension that its fact does not have
-#}
{%- macro sli_check(sli) -%}
    {%- set known = [
        'fact', 'good', 'bad', 'count', 'sum', 'column', 'quantile', 'valid', 'sample', 'headline',
        'by', 'parts', 'topic', 'metric', 'help',
    ] -%}
    {%- set wrong = [] -%}
    {%- for key in sli.meta if key not in known -%}
        {%- do wrong.append(key ~ ' is none of ' ~ known | join(', ')) -%}
    {%- endfor -%}
    {%- if sli.meta.fact not in var('sli_facts') -%}
        {%- do wrong.append('fact is none of ' ~ var('sli_facts') | join(', ')) -%}
    {%- else -%}
        {%- set dimensions = var('sli_facts')[sli.meta.fact].dimensions -%}
        {%- for by in (sli.meta.by or {'': true}).keys() | list + (sli.meta.parts or []) -%}
            {%- if by not in dimensions + ['day'] -%}
                {%- do wrong.append('by and parts are of ' ~ (dimensions + ['day']) | join(', ')) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set kinds = ['good', 'bad', 'count', 'sum', 'quantile'] | select('in', sli.meta) | list -%}
        {%- if kinds | length != 1 and var('sli_facts')[sli.meta.fact].model -%}
            {%- do wrong.append('one of good, bad, count, sum and quantile is wanted') -%}
        {%- endif -%}
        {%- if ('quantile' in sli.meta) != ('column' in sli.meta) -%}
            {%- do wrong.append('quantile and column go together') -%}
        {%- endif -%}
    {%- endif -%}
    {%- if wrong -%}
        {{ exceptions.raise_compiler_error(
            'dbt_project.yml, slis: ' ~ sli.name ~ ': ' ~ wrong | join('; ')
        ) }}
    {%- endif -%}
{%- endmacro -%}
