{#-
  Purpose: all columns of a relation of sli_measures(), where the run takes the figure of one member
    of a dimension where its declaration has a headline.
  Arguments: fact, a name of the var sli_facts; keys, columns that name the run or period.
  Returns: SQL for a star.
  Example: the run's rate_delay_p95_ms is that of the role metadata; NULL where it made no request
-#}
{%- macro sli_headlines(fact, keys) -%}
    {%- set columns = [] -%}
    {%- for sli in var('sli_samples') + var('slis') if sli.meta.fact == fact and sli.meta.headline -%}
        {%- for dimension, member in sli.meta.headline.items() -%}
            {%- set found -%}
            if(
                scope = 'run',
                max({{ sli.name }}) filter (
                    scope = 'run_{{ dimension }}' and subject = '{{ member }}'
                ) over (partition by {{ keys | join(', ') }}),
                {{ sli.name }}
            ) as {{ sli.name }}
            {%- endset -%}
            {%- do columns.append(found) -%}
        {%- endfor -%}
    {%- endfor -%}
    *{% if columns %} replace (
            {{ columns | join(',\n            ') }}
        ){% endif %}
{%- endmacro -%}
