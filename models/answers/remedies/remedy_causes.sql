-- The causes that get remedies; and the hosts whose open breakers forbade most of a resolver's
-- attempts without success, as those attempts say nothing of the resolver.

with causes as (
    select * from {{ ref('diagnosis_causes') }}
    where
        -- what explains a small part needs no remedy of its own, but half-done artifacts all do
        topic = 'corruption'
        or (
            place <= {{ var('diagnosis_causes_explained') }}
            and (place = 1 or share_of_change >= {{ var('diagnosis_least_share') }})
        )
),

attempts as (
    select
        resolver,
        coalesce(host, 'unknown') as host,
        attempts,
        outcome = 'skipped' and regexp_matches(reason, 'breaker|circuit', 'i') as is_forbidden,
    from {{ ref('attempt_outcomes') }}
    where
        run_id = {{ diagnosed_run() }}
        and outcome <> 'success'
),

losses as (
    select
        resolver,
        sum(attempts) as lost,
        sum(attempts) filter (is_forbidden) as forbidden,
        list(distinct host) filter (is_forbidden) as forbidding_hosts,
    from attempts
    group by resolver
    having forbidden > lost / 2
),

final as (
    select
        causes as cause,
        losses.lost,
        losses.forbidden,
        losses.forbidding_hosts,
    from causes
    left join losses
        on
            causes.topic = 'yield'
            and causes.resolver = losses.resolver
)

select * from final
