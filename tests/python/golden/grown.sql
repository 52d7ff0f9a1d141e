-- What happened later: the open run went on and ended, one of its downloads was completed, and
-- another run began.
insert into http_events (run_id, ts, host, role, method, status, from_cache, rate_delay_ms,
    elapsed_ms)
values ('r3', 1764200031.0, 'api.example.org', 'metadata', 'GET', 200, 1, 1, 2),
    ('r4', 1764300000.0, 'api.example.org', 'metadata', 'GET', 429, 0, 1, 2);
update downloads set final_path = 'pdf/6.pdf' where run_id = 'r3' and artifact_id = 'a6';
insert into downloads (run_id, ts, artifact_id, sha256, final_path, content_length, dedupe_action)
values ('r4', 1764300001.0, 'a1', null, null, null, 'download');
insert into run_summary values ('r3', 1764200000.0, 1764200040.0, 24);
