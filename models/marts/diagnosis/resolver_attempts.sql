{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='run_id') }}

with

{% if is_incremental() %}
touched_runs as (

    select run_id from {{ source('session', 'touched_runs') }}

),
{% endif %}

attempts as (

    select * from {{ ref('stg_fallback_attempts') }} as all_attempts
    {% if is_incremental() %}
    where all_attempts.run_id in (select run_id from touched_runs)
    {% endif %}

),

measured as (

    select
        run_id,
        coalesce(resolver, 'unknown') as resolver,
        coalesce(tier, 'unknown') as tier,
        count(*) as attempts,
        count(*) filter (outcome = 'success') as successes,
        count(*) filter (outcome = 'timeout') as timeouts,
        count(*) filter (outcome = 'error') as errors,
        quantile_cont(elapsed_ms, [0.5, 0.95]) as latency_ms,
    from attempts
    group by all

),

final as (

    select
        run_id,
        resolver,
        tier,
        attempts,
        successes,
        timeouts,
        errors,
        latency_ms[1] as latency_p50_ms,
        latency_ms[2] as latency_p95_ms,
    from measured

)

select * from final
