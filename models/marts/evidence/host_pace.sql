with events as (
    select * from {{ ref('stg_http_events') }}
),

spaced as (
    select
        run_id,
        host,
        role,
        ts,
        date_trunc('minute', occurred_at) as minute_at,
        sample_weight,
        is_network,
        is_revalidated,
        lacks_status,
        status,
        retry_after_s,
        retry_count,
        url_hash,
        role = 'metadata' and url_hash is not null as is_cacheable,
        if(is_cacheable, ts - lag(ts) over same_url, null) as since_same_url_s,
        last_value(if(is_network, ts, null) ignore nulls) over sooner as fetched_before_ts,
        last_value(if(is_network, coalesce(status < 400, false), null) ignore nulls) over sooner
            as was_answered_before,
        -- what an earlier run fetched is at least as old as its first use in this one
        if(
            since_same_url_s is not null,
            ts - coalesce(fetched_before_ts, min(ts) over same_url),
            null
        ) as age_s,
    from events
    window
        same_url as (partition by run_id, host, role, url_hash order by ts, event_id),
        sooner as (
            partition by run_id, host, role, url_hash
            order by ts, event_id
            rows between unbounded preceding and 1 preceding
        )
),

-- The cache had no answer for lack of time only where it never gave an older one: where the same
-- URL is fetched again sooner, it was not stored, or was still under way. What was revalidated had
-- been stored, and was too old.
aged as (
    select
        *,
        max(if(not is_network, age_s, null)) over hosts as cached_age_max_s,
        case
            when not is_cacheable or not is_network then null
            when since_same_url_s is null then 'first'
            when not coalesce(was_answered_before, true) then 'after_failure'
            when coalesce(is_revalidated, false) then 'late'
            when
                age_s <= greatest({{ var('diagnosis_prompt_fetch_s') }}, cached_age_max_s)
                then 'promptly'
            else 'late'
        end as fetched,
    from spaced
    window hosts as (partition by run_id, host, role)
),

measured as (
    select
        run_id,
        host,
        role,
        sum(if(is_network, sample_weight, 0)) as network_requests,
        sum(if(is_network and status = 429, sample_weight, 0)) as http_429_requests,
        sum(
            if(
                is_network
                and (
                    status is null and lacks_status is not true or status between 500 and 599
                ),
                sample_weight,
                0
            )
        ) as failed_requests,
        count(distinct minute_at) filter (is_network) as busy_minutes,
        max(ts) filter (is_network) - min(ts) filter (is_network) as span_s,
        median(retry_after_s) as retry_after_p50_s,
        max(retry_count) as most_retries,
        count(distinct url_hash) as urls,
        count(since_same_url_s) as repeats,
        count(since_same_url_s) filter (is_network) as repeats_fetched,
        quantile_cont(since_same_url_s, 0.95) as repeat_p95_s,
        count(*) filter (fetched = 'first') as fetched_first,
        count(*) filter (fetched = 'after_failure') as fetched_after_failure,
        count(*) filter (fetched = 'promptly') as fetched_promptly,
        count(*) filter (fetched = 'late') as fetched_late,
        quantile_cont(age_s, 0.95) filter (fetched = 'promptly') as prompt_age_p95_s,
        quantile_cont(age_s, 0.95) filter (fetched = 'late') as late_age_p95_s,
        any_value(cached_age_max_s) as cached_age_max_s,
    from aged
    group by run_id, host, role
),

-- a rate of all roles together is not the sum of theirs, which need not be of the same minutes
hosts as (
    select
        run_id,
        host,
        sum(sample_weight) as network_requests,
        least(max(ts) - min(ts), 60 * count(distinct minute_at)) as asked_s,
    from spaced
    where is_network
    group by run_id, host
),

final as (
    select
        measured.run_id,
        measured.host,
        measured.role,
        measured.network_requests,
        measured.http_429_requests,
        measured.failed_requests,
        -- over the time in which it was asked at all: a run may turn to a host now and then
        measured.network_requests
        / nullif(least(measured.span_s, measured.busy_minutes * 60), 0) as requests_per_s,
        measured.retry_after_p50_s,
        measured.most_retries,
        measured.urls,
        measured.repeats,
        measured.repeats_fetched,
        measured.repeat_p95_s,
        hosts.network_requests / nullif(hosts.asked_s, 0) as host_requests_per_s,
        measured.fetched_first,
        measured.fetched_after_failure,
        measured.fetched_promptly,
        measured.fetched_late,
        measured.prompt_age_p95_s,
        measured.late_age_p95_s,
        measured.cached_age_max_s,
    from measured
    left join hosts
        on
            measured.run_id = hosts.run_id
            and measured.host = hosts.host
)

select * from final
