{#-
  Purpose: what a mart promises of its rows: their grain, and arithmetic invariants. One test, so
    that the model is worked out once, however much it promises.
  Arguments: model; one_row_per, a list of column names of which no two rows agree in all (NULL
    counts as a value), or none; conditions, a list of SQL expressions over the model's columns;
    in_order, lists of numeric SQL expressions of which none exceeds the next. A condition that is
    NULL holds: there was nothing to compare.
  Returns: for each combination that occurs more than once, and for each row in which a condition
    is false, what is broken and where.
  Example: one_row_per: [run_id, host]
           conditions: ["artifacts_success <= artifacts"]
           in_order: [[0, network_requests, requests]]

  A condition is exact: it is for whole numbers, words, and doubles that the model clamps. Doubles
  that are sums, quotients or interpolations belong in in_order. It allows 1e-9 of the greater
  number, and 1e-9 where that is below 1: a sum of n doubles is off by at most n * 1.1e-16 of the sum
  of their magnitudes (N. J. Higham 2002, "Accuracy and Stability of Numerical Algorithms", section
  4.2), which for five million rows is 6e-10. No unit that we use is worth less than that.
-#}
{% test is_sound(model, one_row_per=none, conditions=[], in_order=[]) %}
{%- set promises = [] -%}
{%- for condition in conditions -%}
    {%- do promises.append({'says': condition, 'holds': condition}) -%}
{%- endfor -%}
{%- for expressions in in_order -%}
    {%- for greater in expressions[1:] -%}
        {%- set lesser = expressions[loop.index0] -%}
        {%- set slack = "1e-9 * greatest(1, abs((" ~ greater ~ ")::double))" -%}
        {%- do promises.append({
            'says': lesser ~ ' <= ' ~ greater,
            'holds': "(" ~ lesser ~ ")::double <= (" ~ greater ~ ")::double + " ~ slack,
        }) -%}
    {%- endfor -%}
{%- endfor %}
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
    {%- if one_row_per and promises %}
    union all
    {%- endif %}
    {%- if promises %}
    select
        list_filter(
            [
                {%- for promise in promises %}
                case when not ({{ promise.holds }}) then '{{ promise.says | replace("'", "''") }}' end,
                {%- endfor %}
            ],
            lambda condition: condition is not null
        ) as broken,
        to_json(checked) as at_row,
    from checked
    where not (
        {%- for promise in promises %}
        coalesce({{ promise.holds }}, true)
        {%- if not loop.last %} and{% endif %}
        {%- endfor %}
    )
    {% endif %}
)

select * from broken
{% endtest %}
