"""The canonical form of a URL, and its hash."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import canonical_url, hash_url, urls


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTPS://Example.ORG", "https://example.org/"),
        ("http://example.org:80/a", "http://example.org/a"),
        ("https://example.org:443/a", "https://example.org/a"),
        ("http://example.org:443/a", "http://example.org:443/a"),
        ("https://example.org/a#part", "https://example.org/a"),
        ("https://user:secret@example.org/a", "https://example.org/a"),
        ("https://example.org/?b=2&a=1&&a=0", "https://example.org/?a=0&a=1&b=2"),
        ("https://example.org/%7euser/%c3%a9", "https://example.org/~user/%C3%A9"),
        ("https://example.org/é x", "https://example.org/%C3%A9%20x"),
        ("https://example.org/Path", "https://example.org/Path"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://example.org/a%2Fb", "https://example.org/a%2Fb"),
        ("", ""),
    ],
)
def test_canonical_form(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical
    assert hash_url(url) == sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.org/a", "https://example.org/a/"),
        ("https://example.org/?a", "https://example.org/?a="),
        ("https://example.org/?q=a+b", "https://example.org/?q=a%20b"),
        ("http://example.org/", "https://example.org/"),
        ("https://example.org/a%2Fb", "https://example.org/a/b"),
    ],
)
def test_urls_that_servers_may_tell_apart_stay_apart(one: str, other: str) -> None:
    assert hash_url(one) != hash_url(other)


@given(st.text())
def test_any_text_has_a_form_that_is_its_own(text: str) -> None:
    canonical = canonical_url(text)
    assert canonical.isascii()
    assert canonical_url(canonical) == canonical


PIECES = st.text(st.sampled_from("aZ0-._~%2f%C3@:/?#[]&=+;!$'()* \\\"<>^é\t\x00"), max_size=12)


@given(st.sampled_from(["http", "HTTPS", "ftp", "x+y"]), PIECES, PIECES, PIECES)
def test_the_short_way_gives_what_the_standard_library_gives(
    scheme: str, netloc: str, path: str, rest: str
) -> None:
    url = f"{scheme}://{netloc}/{path}{rest}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urls, "_PLAIN", re.compile("(?!)"))
        slow = canonical_url(url)
    assert canonical_url(url) == slow


def test_a_key_makes_it_an_hmac() -> None:
    key, canonical = b"0123456789abcdef", "https://example.org/?a=1"
    keyed = hash_url("https://EXAMPLE.org?a=1#x", key)
    assert keyed == hmac.new(key, canonical.encode(), sha256).hexdigest()
    assert keyed != hash_url(canonical)
