"""No URL, query string or credential reaches a file, whatever field it is put into."""

from __future__ import annotations

import hashlib
import hmac
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import Recorder, Run, Settings, TelemetryWriter, canonical_url, hash_url, schema
from recorder.integrations.httpx import RecordedTransport
from recorder.privacy import JSON_LIMIT, TEXT_LIMIT, Privacy

from .support.web import ask, web

SECRET = "t0pS3cret"


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with web() as address:
        yield address


def settings(folder: Path, **more: Any) -> Settings:
    """Return settings with every kind of file."""
    paths = (folder / name for name in ("t.sqlite3", "t.jsonl", "t.csv"))
    return Settings(True, *paths, **more)


def stored(folder: Path) -> str:
    """Return everything that is in any file of the folder, lower-case, as nearly as text."""
    files = [file for file in folder.iterdir() if file.suffix != ".pdf"]
    assert {file.suffix for file in files} >= {".sqlite3", ".jsonl", ".csv"}
    return b"".join(file.read_bytes() for file in files).decode("utf-8", "replace").lower()


WORDS = st.text("abcXYZ019-_.~", min_size=1, max_size=8)
QUERIES = st.builds("{}={}".format, WORDS, st.just(SECRET)) | st.just(SECRET)
SITES = st.sampled_from(
    ["api.example.org", "127.0.0.1:8080", "[::1]:80", "EXAMPLE.com", "bücher.example", "localhost"]
)
URLS = st.builds(
    lambda scheme, login, site, path, query: f"{scheme}://{login}{site}/{path}?{query}#{SECRET}",
    st.sampled_from(["http", "https", "HTTPS", "ftp", "s3", "redis", "postgresql"]),
    st.sampled_from(["", f"user:{SECRET}@", f"{SECRET}@", f":{SECRET}@"]),
    SITES,
    WORDS | st.just(SECRET),
    QUERIES,
)
#: What URLs hold that is no letter: names of articles, and what servers redirect to.
ODD = st.text("ab/'()<>;:,.|{}^`\\\\[]!$ é", max_size=10)
ODD_URLS = st.builds(
    "{}{}{}".format, URLS.map(lambda url: url.partition("?")[0]), ODD, st.just(SECRET)
)
REQUEST_LINES = st.builds("/{}/{}?{}".format, WORDS, WORDS, QUERIES)
LOGINS = st.builds("{}:{}@{}".format, WORDS, st.just(SECRET), st.just("db.example.org"))
HEADERS = st.sampled_from(
    [
        f"Authorization: Bearer {SECRET}.{SECRET}",
        f"authorization=Basic {SECRET}==",
        f"Cookie: {SECRET}",
        f"X-Api-Key: {SECRET}",
        f"api_key={SECRET}",
        f"password='{SECRET}'",
        f'"access_token": "{SECRET}"',
        f"PWD={SECRET};",
        f"password='two words and {SECRET}'",
        f"Authorization: ApiKey {SECRET}",
        f"Cookie: a=b; session={SECRET}",
        f"[('x-api-key', '{SECRET}')]",
        f"(b'authorization', b'Hawk {SECRET}')",
        f"key={SECRET}",
        f"auth=('jo', '{SECRET}')",
        f"API key: {SECRET}",
        f"password%3D{SECRET}",
        f"<token>{SECRET}</token>",
        f"mailto=jo@x.org&rows={SECRET}",
        f"https:/h/{SECRET}",
        f"https%3A//h/{SECRET}",
    ]
)
DANGERS = (
    URLS
    | ODD_URLS
    | URLS.map(lambda url: quote(url, safe=""))
    | URLS.map(lambda url: url.partition("://")[2])
    | URLS.map(lambda url: f"//{url.partition('://')[2]}")
    | URLS.map(json.dumps)
    | URLS.map(lambda url: url.replace("/", "\\/"))
    | REQUEST_LINES
    | LOGINS
    | HEADERS
)
CONTEXTS = st.sampled_from(
    [
        "{}",
        "Client error '404 Not Found' for url '{}'",
        'HTTPSConnectionPool: Max retries exceeded with url: {} (Caused by "x")',
        "<a href={}>",
        "see {}, and {}",
        "({})",
        "GET {} HTTP/1.1",
        "first\nthen {}\n",
        "{}'brien {}",
        "äöü {}",
    ]
)
TEXTS = st.builds(lambda context, danger: context.replace("{}", danger), CONTEXTS, DANGERS)


def say_everywhere(recorder: Recorder, text: str) -> None:
    """Put a text into every field of every event that takes any."""
    calls: dict[str, Any] = {
        "http_events": recorder.http_event,
        "rate_events": recorder.rate_event,
        "breaker_transitions": recorder.breaker_transition,
        "fallback_attempts": recorder.fallback_attempt,
        "downloads": recorder.download,
    }
    for table, call in calls.items():
        columns = [c for c, kind in schema.TABLES[table].items() if kind.startswith("TEXT")]
        call(**{column: text for column in columns if column != "run_id"})
        if "metadata" in columns:
            call(metadata={text: [text, {"deep": text, "token": SECRET}], "n": 1})
            call(metadata=json.dumps({"why": text}))
    recorder.http_event(host=text, role="artifact", url=text, error=ValueError(text))
    recorder.update_download(artifact_id=text, final_path=text)


@given(text=TEXTS, keyed=st.booleans(), hashed=st.booleans())
def test_no_field_lets_a_secret_through(text: str, keyed: bool, hashed: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        key = b"0123456789abcdef" if keyed else b""
        options = settings(Path(name), hash_urls=hashed, hash_key=key)
        with TelemetryWriter(options, text) as recorder:
            say_everywhere(recorder, text)
        assert recorder.dropped == 0
        found = stored(Path(name))
        assert SECRET.lower() not in found, text
        assert "0123456789abcdef" not in found


@pytest.mark.parametrize(
    "text",
    [
        # of requests and urllib3
        f"HTTPSConnectionPool(host='h', port=443): Max retries exceeded with url: /a/{SECRET}.pdf",
        f"Invalid URL '/rel/{SECRET}': No scheme supplied. Perhaps you meant https:///rel/{SECRET}?",
        f"Invalid leading whitespace, reserved character(s) in header value: '{SECRET}'",
        # of httpx
        f"Client error '404 Not Found' for url 'https://h/o'brien/{SECRET}.pdf'",
        f"Redirect response '302 Found' for url 'http://h'\nRedirect location: '/next/{SECRET}'",
        # of the standard library
        f"unknown url type: 'h/{SECRET}'",
        f"URL can't contain control characters. '/{SECRET} x' (found at least ' ')",
        # of clients of other things
        f'connection to server at "db", user "jo" failed: password={SECRET} is wrong',
        f"fatal: could not read from https://jo:{SECRET}@git.example/x.git",
        f"curl: (6) while running curl -u jo:{SECRET} h",
        f"AKIAIOSFODNN7{SECRET.upper()}",
        f"see www.example.org/{SECRET} for more",
        f"GET /works/{SECRET} HTTP/1.1",
        f"https://doi.org/10.1002/(SICI)1097-4571(1999)<1661::AID-{SECRET}>3.0.CO;2-2",
    ],
)
def test_what_exceptions_really_say(text: str) -> None:
    assert SECRET.lower() not in Privacy().text(text).lower()
    assert SECRET.lower() not in str(Privacy().json({"why": [text]})).lower()


def test_what_is_secret_by_its_name() -> None:
    found = Privacy().json(
        {
            "password": [SECRET],
            "Auth": {"v": SECRET},
            "x-api-key": SECRET,
            "params": {"q": SECRET},
            "headers": [["accept", SECRET]],
            "listed": [("cookie", SECRET), ["url", SECRET]],
            "token": None,
            "resolver_name": "unpaywall",
        }
    )
    assert found is not None
    assert SECRET not in found
    assert json.loads(found)["resolver_name"] == "unpaywall"
    assert json.loads(found)["token"] is None


@given(text=TEXTS)
def test_cleaning_what_is_clean_changes_nothing(text: str) -> None:
    privacy = Privacy()
    for clean in (privacy.text, privacy.name, privacy.host):
        once = clean(text)
        assert clean(once) == once
    once = privacy.json({"why": text, "secret": text}) or ""
    assert privacy.json(once) == once


def test_a_crawl_of_addresses_with_secrets(tmp_path: Path, site: str) -> None:
    secret_site = site.replace("http://", f"http://user:{SECRET}@")
    with Run(TelemetryWriter(settings(tmp_path), "run")) as run:
        transport = RecordedTransport(run.recorder, role="artifact")
        client = httpx.Client(
            transport=transport,
            auth=("user", SECRET),
            headers={"X-Api-Key": SECRET},
            cookies={"session": SECRET},
            follow_redirects=True,
        )
        with client:
            for path in ("pdf/a.pdf", "redirect", "missing", "torn", "busy"):
                url = f"{secret_site}/{path}?token={SECRET}"
                try:
                    with run.artifact(url) as artifact, artifact.attempt(url, host=url):
                        content = client.get(url).raise_for_status().content
                        file = tmp_path / f"{len(content)}.pdf"
                        file.write_bytes(content)
                        artifact.saved(file, content)
                except httpx.HTTPError as error:
                    run.recorder.fallback_attempt(
                        outcome="error", reason=str(error), metadata={"error": repr(error)}
                    )
            with pytest.raises(httpx.UnsupportedProtocol):
                client.get(f"gopher://h/?{SECRET}")
    assert run.recorder.dropped == 0
    found = stored(tmp_path)
    assert SECRET.lower() not in found
    assert "redirect?" not in found
    assert "127.0.0.1:" not in found
    db = tmp_path / "t.sqlite3"
    # The redirect is two of them, the second with a token of its own.
    assert ask(db, "select count(*), count(distinct url_hash) from http_events") == [(7, 7)]
    # Artifacts that were named by their addresses are still told apart.
    assert ask(db, "select count(distinct artifact_id) from downloads") == [(5,)]


@pytest.mark.parametrize(
    "text",
    [
        "status 404",
        "breaker open",
        "10.1234/abc.def(2020)",
        "application/pdf; charset=utf-8",
        "out/www.example.org/a.pdf",
        "C:\\papers\\a.pdf",
        "author: Smith",
        "digest mismatch",
        "W12:v2",
        "2026-11-24T10:00:00+00:00",
        "tokens left: none",
        "a // b",
        "is it?",
    ],
)
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert Privacy().text(text) == text
    assert Privacy().name(text) == text


def test_a_host_is_only_a_host() -> None:
    host = Privacy().host
    assert host("https://user:pw@API.example.org:8443/x?y") == "api.example.org"
    assert host("user:pw@api.example.org") == "api.example.org"
    assert host("api.example.org") == "api.example.org"
    assert host("127.0.0.1:8080") == "127.0.0.1:8080"
    assert host("http://[::1") == "[hidden]"
    assert host("::1") == "::1"
    assert host("bücher.example") == "bücher.example"
    assert host("token=abc") == "[hidden]"
    assert host("https://a.example/?u=https://b.example/") == "a.example"


def test_hashes(tmp_path: Path) -> None:
    url, key = "https://Example.org/a?b=1#c", b"0123456789abcdef"
    given = hash_url("https://elsewhere/")
    found = {}
    for name, options in (
        ("plain", {}),
        ("keyed", {"hash_key": key}),
        ("off", {"hash_urls": False}),
        ("off, keyed", {"hash_urls": False, "hash_key": key}),
    ):
        path = tmp_path / name
        with TelemetryWriter(Settings(True, path, **options), "run") as recorder:
            recorder.http_event(host="h", role="artifact", url=url)
            recorder.http_event(host="h", role="artifact", url_hash=given)
            recorder.http_event(host="h", role="artifact", url_hash=url)
        found[name] = [value for (value,) in ask(path, "select url_hash from http_events")]
    plain = hashlib.sha256(canonical_url(url).encode()).hexdigest()
    keyed = hmac.new(key, canonical_url(url).encode(), "sha256").hexdigest()
    assert found == {
        "plain": [plain, given, plain],
        "keyed": [keyed, given, keyed],
        "off": [None, None, None],
        "off, keyed": [None, None, None],
    }


def test_long_texts_are_cut_and_long_metadata_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite3"
    with TelemetryWriter(path, "run") as recorder:
        recorder.fallback_attempt(outcome="error", reason="x" * 10_000, metadata={"a": "b"})
        recorder.fallback_attempt(
            outcome="error", metadata={str(n): "y" * 100 for n in range(JSON_LIMIT // 100)}
        )
    assert ask(path, "select length(reason), metadata from fallback_attempts") == [
        (TEXT_LIMIT, '{"a": "b"}'),
        (None, None),
    ]
