{#-
  Purpose: what a mart promises of its rows: their grain, and arithmetic invariants. One test, so
    that the model is worked out once, however much it promises.
  Arguments: model; one_row_per, a list of column names of which no two rows agree in all (NULL
    counts as a value), or none; conditions, a list of SQL expressions over the model's columns. A
    condition that is NULL holds: there was nothing to compare.
  Returns: for each combination that occurs more than once, and for each row in which a condition
    is false, what is broken and where.
  Example: one_row_per: [run_id, host]
           conditions: ["artifacts_success <= artifacts"]
-#}
{% test is_sound(model, one_row_per=none, conditions=[]) %}
with checked as (

    select * from {{ model }}

),

broken as (
    {% if one_row_per %}
    select
        ['one row per {{ one_row_per | join(', ') }}'] as broken,
        to_json(struct_pack({{ one_row_per | join(', ') }}, rows_found := count(*))) as at_row,
    from checked
    group by {{ one_row_per | join(', ') }}
    having count(*) > 1
    {% endif %}
    {%- if one_row_per and conditions %}
    union all
    {%- endif %}
    {%- if conditions %}
    select
        list_filter(
            [
                {%- for condition in conditions %}
                case when not ({{ condition }}) then '{{ condition | replace("'", "''") }}' end,
                {%- endfor %}
            ],
            lambda condition: condition is not null
        ) as broken,
        to_json(checked) as at_row,
    from checked
    where not (
        {%- for condition in conditions %}
        coalesce({{ condition }}, true)
        {%- if not loop.last %} and{% endif %}
        {%- endfor %}
    )
    {% endif %}
)

select * from broken
{% endtest %}
