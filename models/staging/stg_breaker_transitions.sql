with transitions as (
    select
        raw_transitions.*,
        {{ unix_seconds('raw_transitions.ts', 'raw_transitions.ts_text') }} as seconds,
    from {{ source('raw', 'breaker_transitions') }} as raw_transitions
),

final as (
    select
        run_id,
        id as transition_id,
        seconds as ts,
        {{ utc_timestamp('seconds') }} as occurred_at,
        coalesce({{ host_name('host') }}, 'unknown') as host,
        coalesce({{ lower_word('scope') }}, 'unknown') as scope,
        coalesce({{ breaker_state('old_state') }}, 'unknown') as old_state,
        {{ breaker_state('new_state') }} as new_state,
        reset_timeout_s,
        {{ non_blank('details') }} as details,
        file_id,
        load_id,
    from transitions
    where
        ({{ row_defect('seconds') }}) is null
        and {{ is_counted('breaker_transitions', 'transitions') }}
)

select * from final
