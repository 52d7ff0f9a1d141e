with requests as (
    select * from {{ ref('int_request_slis') }}
    where
        grain = 'run'
        and scope = 'run_host'
),

breakers as (
    select * from {{ ref('int_breaker_slis') }}
    where
        grain = 'run'
        and scope = 'run_host'
),

final as (
    select
        coalesce(requests.run_id, breakers.run_id) as run_id,
        coalesce(requests.subject, breakers.subject) as host,
        {{ sli_marts({'requests': 'requests', 'breakers': 'breakers'}, 'host') }}
    from requests
    full join breakers
        on requests.run_id = breakers.run_id and requests.subject = breakers.subject
)

select * from final
