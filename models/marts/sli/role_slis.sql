with requests as (
    select * from {{ ref('int_request_slis') }}
    where
        grain = 'run'
        and scope = 'run_role'
),

final as (
    select
        requests.run_id,
        requests.subject as role,
        {{ sli_marts({'requests': 'requests'}, 'role') }}
    from requests
)

select * from final
