-- What to do about a cause: the guide's remedies with values from what was measured, kept between
-- the bounds of the seed remedy_limits. A remedy without a value has none to give.
{%- set families = ['limiters', 'breakers', 'caches', 'resolvers', 'orders', 'artifacts'] %}

with limits as (
    select * from {{ ref('remedy_limits') }}
),

{% for family in families %}
of_{{ family }} as (
    select * from {{ ref('remedies_of_' ~ family) }}
),

{% endfor %}
wanted as (
    {% for family in families %}
    from of_{{ family }}
    {{ 'union all by name' if not loop.last }}
    {% endfor %}
),

bounded as (
    select
        wanted.*,
        limits.* exclude (setting, factor),
        wanted.base * limits.factor as value_wanted,
        -- NULL stays NULL, which greatest() alone would make the lowest
        if(
            value_wanted is null,
            null,
            least(limits.highest, greatest(limits.lowest, value_wanted))
        ) as value_bounded,
        if(limits.unit = 'requests/s', round(value_bounded, 2), ceil(value_bounded))
            as value_rounded,
        value_wanted not between limits.lowest and limits.highest as is_bounded,
        -- a bound may lie on the wrong side of what is observed: to go there would do the opposite
        coalesce(
            case limits.direction
                when 'down' then value_rounded >= wanted.observed
                when 'up' then value_rounded <= wanted.observed
            end,
            false
        ) as is_contrary,
    from wanted
    left join limits on wanted.setting = limits.setting
),

final as (
    select
        cause.slo,
        cause.scope,
        cause.subject,
        cause.segment,
        remedy,
        regexp_replace(setting, '_(lower|raise)$', '') as setting,
        applies_to,
        if(is_contrary, null, value_rounded) as proposed,
        proposed_text,
        unit,
        lowest,
        highest,
        is_bounded,
        observed,
        case
            when is_contrary
                then format(
                    '{}; this cannot be done: it is {:.3g} {}, and no {} than {:g} is proposed. '
                    || 'Instead, {}',
                    reason,
                    observed,
                    unit,
                    if(direction = 'down', 'less', 'more'),
                    if(direction = 'down', lowest, highest),
                    instead
                )
            when is_bounded
                then format(
                    '{}; {:.3g} {} are wanted, but no {} than {:g} is proposed. If that does not '
                    || 'help, {}',
                    reason,
                    value_wanted,
                    unit,
                    if(value_wanted < lowest, 'less', 'more'),
                    if(value_wanted < lowest, lowest, highest),
                    instead
                )
            else reason
        end as reason,
        row_number() over (
            partition by cause.slo, cause.scope, cause.subject
            order by cause.place, turn, applies_to, remedy, bounded.setting
        ) as place,
    from bounded
)

select * from final
