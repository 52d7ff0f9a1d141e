{{ config(materialized='incremental') }}

with requests as (

    select
        *,
        date_trunc('minute', occurred_at) as minute_at,
    from {{ ref('int_requests') }}
    {{ where_touched() }}

),

artifacts as (

    select * from {{ ref('int_artifact_slis') }}
    {{ where_touched() }}

),

-- requests of one minute are alike: 429s come in bursts, and a retry meets what its request met
minutes as (

    select
        run_id,
        host,
        if(grouping(host) = 0, 'run_host', 'run') as scope,
        {{ request_sums() }},
        count(*) filter (is_network) as network_rows,
        count(*) filter (is_metadata) as metadata_rows,
        sum(pow(sample_weight, 2)) filter (is_network) as network_weights_squared,
        sum(pow(sample_weight, 2)) filter (is_metadata) as metadata_weights_squared,
    from requests
    group by grouping sets ((run_id, minute_at), (run_id, minute_at, host))

),

counted as (

    select
        run_id,
        scope,
        host as subject,
        'http_429_pct' as slo,
        coalesce(http_429_requests, 0) as numerator,
        network_requests as denominator,
        network_rows as observations,
        network_weights_squared as weights_squared,
    from minutes
    where network_requests > 0
    union all
    select
        run_id,
        scope,
        host as subject,
        'cache_hit_pct' as slo,
        coalesce(metadata_cache_hits, 0) as numerator,
        metadata_requests as denominator,
        metadata_rows as observations,
        metadata_weights_squared as weights_squared,
    from minutes
    where metadata_requests > 0

),

of_requests as (

    select
        run_id,
        scope,
        subject,
        slo,
        sum(numerator) as numerator,
        sum(denominator) as denominator,
        sum(observations) as observations,
        sum(weights_squared) as weights_squared,
        sum(pow(numerator, 2)) as numerators_squared,
        sum(numerator * denominator) as products,
        sum(pow(denominator, 2)) as denominators_squared,
        count(*) as clusters,
    from counted
    group by run_id, scope, subject, slo

),

-- an artifact counts once, and is taken to fare by itself
of_artifacts as (

    select
        run_id,
        if(grain = 'resolver', 'run_resolver', 'run') as scope,
        resolver as subject,
        'yield_pct' as slo,
        artifacts_success as numerator,
        artifacts as denominator,
    from artifacts
    where
        grain in ('run', 'resolver')
        and artifacts_success is not null
    union all
    select
        run_id,
        'run' as scope,
        null as subject,
        'corruption_count' as slo,
        corruption_count as numerator,
        artifacts as denominator,
    from artifacts
    where
        grain = 'run'
        and corruption_count is not null

),

final as (

    select
        run_id,
        scope,
        subject,
        slo,
        numerator::double as numerator,
        denominator::double as denominator,
        observations::double as observations,
        weights_squared,
        numerators_squared,
        products,
        denominators_squared,
        clusters,
    from of_requests
    union all
    select
        run_id,
        scope,
        subject,
        slo,
        numerator::double as numerator,
        denominator::double as denominator,
        denominator::double as observations,
        denominator::double as weights_squared,
        null as numerators_squared,
        null as products,
        null as denominators_squared,
        null as clusters,
    from of_artifacts

)

select * from final
