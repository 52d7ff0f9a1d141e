with artifacts as (
    select * from {{ ref('int_artifact_slis') }}
    where
        grain = 'run'
        and scope = 'run_resolver'
),

ttfp as (
    select * from {{ ref('int_ttfp_slis') }}
    where
        grain = 'run'
        and scope = 'run_resolver'
),

final as (
    select
        coalesce(artifacts.run_id, ttfp.run_id) as run_id,
        coalesce(artifacts.subject, ttfp.subject) as resolver,
        {{ sli_marts({'artifacts': 'artifacts', 'first_pdfs': 'ttfp'}, 'resolver') }}
    from artifacts
    full join ttfp on artifacts.run_id = ttfp.run_id and artifacts.subject = ttfp.subject
)

select * from final
