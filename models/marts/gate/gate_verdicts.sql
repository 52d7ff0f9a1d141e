with criteria as (
    select * from {{ ref('gate_criteria') }}
),

measurements as (
    select * from {{ ref('gate_measurements') }}
),

-- what no model can know: whether commands work, what Prometheus answers
seen as (
    select unnest(
        from_json(
            {{ asked('gate_seen', 'varchar', "'[]'") }},
            '[{"criterion": "varchar", "value": "double", "is_complete": "boolean",
            "evidence": "varchar"}]'
        ),
        max_depth := 2
    )
),

measured as (
    select * from measurements
    union all by name
    select * from seen
),

judged as (
    select
        criteria.phase,
        criteria.place,
        criteria.criterion,
        criteria.title,
        case
            when comparator = '<' and value >= threshold then 'failed'
            when comparator = '<=' and value > threshold then 'failed'
            -- more may come while not all is measured
            when comparator = '>=' and value < threshold and is_complete then 'failed'
            when value is null or not is_complete then 'not_measured'
            else 'passed'
        end as status,
        measured.value,
        criteria.comparator,
        criteria.threshold,
        criteria.unit,
        criteria.is_required,
        measured.evidence,
        criteria.remedy,
        criteria.how_to_measure,
    from criteria
    left join measured on criteria.criterion = measured.criterion
),

final as (
    select
        * exclude (remedy, how_to_measure),
        if(status = 'not_measured', how_to_measure, remedy) as remedy,
        bool_and(status = 'passed' or (status = 'not_measured' and not is_required))
            over (partition by phase) as has_phase_passed,
    from judged
)

select * from final
