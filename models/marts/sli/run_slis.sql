with runs as (
    select run_id from {{ ref('int_runs') }}
),

artifacts as (
    select * from {{ ref('int_artifact_slis') }}
    where
        grain = 'run'
        and scope = 'run'
),

ttfp as (
    select * from {{ ref('int_ttfp_slis') }}
    where
        grain = 'run'
        and scope = 'run'
),

requests as (
    select * from {{ ref('int_request_slis') }}
    where
        grain = 'run'
        and scope = 'run'
),

breakers as (
    select * from {{ ref('int_breaker_slis') }}
    where
        grain = 'run'
        and scope = 'run'
),

final as (
    select
        runs.run_id,
        {{ sli_marts({
            'artifacts': 'artifacts',
            'first_pdfs': 'ttfp',
            'requests': 'requests',
            'breakers': 'breakers'
        }) }}
    from runs
    left join artifacts on runs.run_id = artifacts.run_id
    left join ttfp on runs.run_id = ttfp.run_id
    left join requests on runs.run_id = requests.run_id
    left join breakers on runs.run_id = breakers.run_id
)

select * from final
