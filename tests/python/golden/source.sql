-- Telemetry of three runs, the last of which has not ended; scripts/golden.py loads it.
create table http_events (id integer primary key autoincrement, run_id, ts, host, role, method,
    status, url_hash, from_cache, retry_count, rate_delay_ms, breaker_state, elapsed_ms, error);
create table rate_events (id integer primary key autoincrement, run_id, ts, host, role, action,
    delay_ms);
create table breaker_transitions (id integer primary key autoincrement, run_id, ts, host, scope,
    old_state, new_state, reset_timeout_s);
create table fallback_attempts (id integer primary key autoincrement, run_id, ts, work_id,
    artifact_id, tier, source, host, outcome, reason, status, elapsed_ms);
create table downloads (id integer primary key autoincrement, run_id, ts, artifact_id, sha256,
    final_path, content_type, content_length, dedupe_action, elapsed_ms);
create table run_summary (run_id primary key, started_at, finished_at, artifacts_total);

create temp table numbers as
with recursive numbers(run, n) as (
    select 1, 0 union all
    select run + (n = 23), (n + 1) % 24 from numbers where run < 3 or n < 23
)
select 'r' || run as run, n, 1763900000.0 + run * 100000 + n * 1.25 as ts from numbers;

insert into http_events (run_id, ts, host, role, method, status, url_hash, from_cache,
    retry_count, rate_delay_ms, breaker_state, elapsed_ms, error)
select run, ts, 'api.example.org', 'metadata', 'GET', iif(n % 12 = 3, 429, 200), null, n % 3 > 0,
    n % 12 = 3, n * 7.5, 'closed', 20 + n, null from numbers
union all
select run, ts + 0.4, 'cdn.example.org', 'artifact', 'GET', iif(n = 7, null, 200), null, 0, 0,
    n * 40, iif(n = 8, 'OPEN', 'closed'), 90 + n, iif(n = 7, 'ReadTimeout', null) from numbers;
-- values that do not fit, and rows without a run or a time
insert into http_events (run_id, ts, host, status, elapsed_ms) values
    ('r2', 1764100031.0, 'odd.example.org', 'abc', 'slow'), (null, 1764100032.0, 'x', 200, 1),
    ('r2', 'never', 'x', 200, 1);
insert into rate_events (run_id, ts, host, role, action, delay_ms)
select run, ts, 'api.example.org', 'metadata', iif(n % 8 = 0, 'block', 'acquire'), n * 7.5
from numbers;
insert into breaker_transitions (run_id, ts, host, scope, old_state, new_state, reset_timeout_s)
select run, ts, 'cdn.example.org', 'host', 'BreakerState.CLOSED', 'BreakerState.OPEN', 30
from numbers where n = 8
union all
select run, ts, 'cdn.example.org', 'host', 'open', 'half_open', null from numbers where n = 20;
insert into fallback_attempts (run_id, ts, work_id, artifact_id, tier, source, host, outcome,
    reason, status, elapsed_ms)
select run, ts + 0.1, 'w' || n, 'a' || n, 'first', 'crossref', 'api.example.org', 'retryable',
    'http_503', 503, 100 from numbers
union all
select run, ts + 0.6 + n * 0.1, 'w' || n, 'a' || n, 'second', 'arxiv', 'cdn.example.org',
    iif(n % 12 = 3, 'no_pdf', 'success'), null, 200, 300 from numbers;
insert into downloads (run_id, ts, artifact_id, sha256, final_path, content_type, content_length,
    dedupe_action, elapsed_ms)
select run, ts + 1 + n * 0.1, 'a' || n, iif(n % 12 <> 3, hex(zeroblob(32)), null),
    iif(n % 12 <> 3 and n <> 6, 'pdf/' || n || '.pdf', null), 'application/pdf', 1000000 + n,
    iif(n % 5 = 0, 'hardlink', 'download'), 300 from numbers;
insert into run_summary values ('r1', 1764000000.0, 1764000040.0, 24),
    ('r2', '2025-11-25T19:46:40Z', '2025-11-25T19:47:20Z', 24);
