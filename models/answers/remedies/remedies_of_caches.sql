-- Why what the cache should have answered was fetched, the most frequent reason first.

with hosts as (
    select * from {{ ref('remedy_hosts') }}
    where cause.slo = 'cache_hit_pct'
),

fetches as (
    select
        *,
        sum(fetches) over fetches_of_host as all_fetches,
        row_number() over (fetches_of_host order by fetches desc, why asc) as turn,
        why = 'fetched_late' as is_late,
    from hosts
    unpivot (
        fetches for why
        in (fetched_first, fetched_after_failure, fetched_promptly, fetched_late)
    )
    window fetches_of_host as (partition by cause, host)
),

final as (
    select
        cause,
        1 as turn,
        'Record hashes of its URLs' as remedy,
        host as applies_to,
        'without them it is unknown whether it is asked for the same again' as reason,
    from hosts
    where urls = 0
    union all by name
    select
        cause,
        turn,
        case why
            when 'fetched_late' then 'Keep its answers longer, and its ETags'
            when 'fetched_promptly'
                then
                    'See that its answers are stored at all, and let a second request for a URL '
                    || 'wait for the first'
            when 'fetched_after_failure'
                then 'See why its requests fail: only an answer can be kept'
            else
                'Leave what changes with each request out of the cache''s key, or let a first run '
                || 'fill the cache'
        end as remedy,
        if(is_late, 'cache_ttl_s', null) as setting,
        host as applies_to,
        if(is_late, late_age_p95_s, null) as observed,
        if(is_late, late_age_p95_s, null) as base,
        format(
            case why
                when 'fetched_late'
                    then
                        '{0} of {1} fetches were of URLs whose answer was older than any that the '
                        || 'cache gave ({2}), or to be revalidated; 95 % of them were at most {3} '
                        || 's old'
                when 'fetched_promptly'
                    then
                        '{0} of {1} fetches were of URLs fetched before, 95 % of them no more than '
                        || '{4} s before; of what was fetched the cache gave answers {2}, so that '
                        || 'longer lifetimes would not help'
                when 'fetched_after_failure'
                    then
                        '{0} of {1} fetches were of URLs whose fetch before had been answered 4xx '
                        || 'or 5xx, or not at all'
                else '{0} of {1} fetches were of URLs not asked for before in the run'
            end,
            format('{:,}', fetches),
            format('{:,}', all_fetches),
            coalesce(format('up to {:,.3g} s old', cached_age_max_s), 'of no age'),
            coalesce(format('{:,.3g}', late_age_p95_s), ''),
            coalesce(format('{:,.3g}', prompt_age_p95_s), '')
        ) as reason,
    from fetches
    where fetches >= {{ var('diagnosis_least_share') }} * all_fetches
)

select * from final
