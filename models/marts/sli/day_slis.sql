with artifacts as (
    select * from {{ ref('int_artifact_slis') }}
    where grain = 'day'
),

ttfp as (
    select * from {{ ref('int_ttfp_slis') }}
    where grain = 'day'
),

requests as (
    select * from {{ ref('int_request_slis') }}
    where grain = 'day'
),

days as (
    select
        run_id,
        starts_at
    from artifacts
    union
    select
        run_id,
        starts_at
    from ttfp
    union
    select
        run_id,
        starts_at
    from requests
),

final as (
    select
        days.run_id,
        days.starts_at::date as day,
        {{ sli_marts(
            {'artifacts': 'artifacts', 'first_pdfs': 'ttfp', 'requests': 'requests'}, 'day'
        ) }}
    from days
    -- a run without a single usable time has its artifacts on the day NULL
    left join artifacts
        on
            days.run_id = artifacts.run_id
            and days.starts_at is not distinct from artifacts.starts_at
    left join ttfp
        on days.run_id = ttfp.run_id and days.starts_at is not distinct from ttfp.starts_at
    left join requests
        on days.run_id = requests.run_id and days.starts_at is not distinct from requests.starts_at
)

select * from final
