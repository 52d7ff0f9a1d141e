-- What to do with artifacts that a finalise left half-way.

with causes as (
    select * from {{ ref('remedy_causes') }}
    where cause.topic = 'corruption'
),

half_done as (
    select
        resolver,
        missing = 'file' as lacks_file,
        count(*) as artifacts,
        list_sort(list(artifact))[:{{ var('diagnosis_named_artifacts') }}] as names,
    from {{ ref('half_done_artifacts') }}
    where run_id = {{ diagnosed_run() }}
    group by all
),

final as (
    select
        causes.cause,
        if(half_done.lacks_file, 1, 2) as turn,
        if(
            half_done.lacks_file,
            'Crawl the artifacts again whose file was not stored',
            'Move aside the files without a checksum, which may be cut off, and crawl their '
            || 'artifacts again'
        ) as remedy,
        half_done.resolver as applies_to,
        format(
            '{} {}: {}{}',
            if(
                half_done.artifacts = 1,
                '1 artifact has',
                format('{:,} artifacts have', half_done.artifacts)
            ),
            if(half_done.lacks_file, 'a checksum but no file', 'a file but no checksum'),
            array_to_string(half_done.names, ', '),
            if(
                half_done.artifacts > len(half_done.names),
                format(
                    ' and {:,} more, all in half_done_artifacts',
                    half_done.artifacts - len(half_done.names)
                ),
                ''
            )
        ) as reason,
    from causes
    inner join half_done on causes.cause.resolver = half_done.resolver
)

select * from final
