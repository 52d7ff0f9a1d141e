"""Keeps URLs, query strings and credentials out of whatever is recorded."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from recorder.urls import hash_url

#: Longest free text kept, in characters, and longest JSON; both far above any honest value.
TEXT_LIMIT: Final = 2_000
JSON_LIMIT: Final = 20_000

# Every pattern starts at the start of a word, so that a long word costs one look, not one for
# each of its characters.
_END: Final = r"[^\s\"'<>\\^`{|}\x00-\x1f]"
_SITE: Final = r"(?:[\w.\-]+|\[[0-9a-f:.]+\])(?::\d+)?"
_URL: Final = re.compile(
    # with a scheme, plain, percent-encoded or as JSON may have it; // and a host; a login, with
    # a password or before a path; a host with a dot, a path and a query
    rf"(?<![a-z0-9+.\-])[a-z0-9+.\-]+(?:://|%3a%2f%2f|:\\/\\/){_END}*(?:\\/{_END}*)*"
    rf"|(?<![\w/])//{_SITE}[/?#]{_END}*"
    rf"|(?<![^\s/@:\"'<>])[^\s/@:\"'<>]*:[^\s/@\"'<>]+@{_SITE}(?:[/?#]{_END}*)?"
    rf"|(?<![^\s/@:\"'<>])[^\s/@:\"'<>]+@{_SITE}[/?#]{_END}*"
    rf"|(?<![\w./\-])(?:[\w\-]+\.)+[a-z]{{2,}}(?::\d+)?/{_END}*\?{_END}*",
    re.IGNORECASE,
)
_QUERY: Final = re.compile(rf"(?<![^\s\"'(<>\[\\])[^\s\"'(<>\[\\?]*\?{_END}+")
_SCHEME: Final = re.compile(
    r"\b(bearer|basic|(?:digest|token)(?=\s+\S*\d))\s+[a-z0-9._~+/=\-]{6,}", re.IGNORECASE
)
_SECRET_NAME: Final = (
    r"[\w\-]*(?:token|secret|passw(?:or)?d|pwd|passphrase|api[_\-]?key|access[_\-]?key"
    r"|private[_\-]?key|authorization|signature|credential|session[_\-]?id|cookie)[\w\-]*"
)
_SECRET: Final = re.compile(
    rf"(?<![\w\-])({_SECRET_NAME})([\"']?\s*[:=]\s*[\"']?)(?!\[hidden)([^\s\"'&,;}}\]]+)",
    re.IGNORECASE,
)
_SECRET_KEY: Final = re.compile(_SECRET_NAME, re.IGNORECASE)
# Nearly no value has any of these; what has none needs no closer look.
_SUSPECT: Final = re.compile(r"[?@=:]|//|%3a|bearer|basic|digest|token", re.IGNORECASE)
_HOST: Final = re.compile(
    r"(?:[\w\-]+(?:\.[\w\-]+)*\.?|\[[0-9a-f:.]+\])(?::\d{1,5})?|[0-9a-f:.]*:[0-9a-f:.]*",
    re.IGNORECASE,
)
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")

_HIDDEN: Final = "[hidden]"


class Privacy:
    """What may be kept of a value: hashes of URLs, texts without them.

    Args:
        hash_urls: whether a request keeps the hash of its URL.
        key: key of an HMAC-SHA-256; empty for a plain SHA-256, which anyone who can guess a URL
            can look up.
    """

    def __init__(self, hash_urls: bool = True, key: bytes = b"") -> None:
        self._hash_urls = hash_urls
        # Hashing off: identifiers that are URLs must still differ, but under a key that nobody
        # keeps, so that they cannot be looked up.
        self._key = key if hash_urls else secrets.token_bytes(32)
        # Telemetry says the same few words over and over.
        self.text: Callable[[str], str] = lru_cache(4096)(self._text)
        self.name: Callable[[str], str] = lru_cache(4096)(self._name)
        self.host: Callable[[str], str] = lru_cache(4096)(self._host)

    def url_hash(self, url: object) -> str | None:
        """Return the hash of a URL's canonical form as 64 hex digits; None with hashing off."""
        return hash_url(str(url), self._key) if self._hash_urls else None

    def given_hash(self, value: str) -> str | None:
        """Return a hash that the caller made; what is none is taken for a URL and hashed."""
        if not self._hash_urls:
            return None
        return value.lower() if _HASH.fullmatch(value) else hash_url(value, self._key)

    def json(self, value: object) -> str | None:
        """Return JSON text of metadata, cleaned throughout; None if it is too long.

        Raises:
            TypeError, ValueError, RecursionError: it is no JSON.
        """
        known: Any = value
        if isinstance(value, str):
            try:
                known = json.loads(value)
            except ValueError:
                return self.text(value)
        text = json.dumps(self._clean(known), sort_keys=True, ensure_ascii=False)
        return text if len(text) <= JSON_LIMIT else None

    def _text(self, text: str) -> str:
        """Clean free text: addresses and secrets in it become a word in brackets."""
        return _trimmed(self._without(text, lambda match: "[url]"))

    def _name(self, text: str) -> str:
        """Clean text that identifies something: a URL becomes its hash, so that names differ."""
        if len(text) > TEXT_LIMIT:
            return hash_url(text, self._key)
        return _trimmed(self._without(text, lambda match: hash_url(match[0], self._key)))

    def _host(self, text: str) -> str:
        """Return the host name alone of what was given as one."""
        if not _HOST.fullmatch(text):
            _, scheme, rest = text.partition("://")
            try:
                text = urlsplit(f"//{rest if scheme else text.lstrip('/')}").hostname or ""
            except ValueError:
                text = ""
            if not _HOST.fullmatch(text):
                return _HIDDEN
        return _trimmed(text)

    def _without(self, text: str, replace: Callable[[re.Match[str]], str]) -> str:
        text = text[: TEXT_LIMIT + 1]
        if not _SUSPECT.search(text):
            return text
        text = _URL.sub(replace, text)
        text = _QUERY.sub(replace, text)
        text = _SCHEME.sub(rf"\1 {_HIDDEN}", text)
        return _SECRET.sub(rf"\1\2{_HIDDEN}", text)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                # a number may be a key: JSON makes it text
                self.text(str(key)): _HIDDEN
                if _SECRET_KEY.fullmatch(str(key)) and not isinstance(inner, Mapping | list | tuple)
                else self._clean(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, BaseException):
            return type(value).__name__
        return self.text(str(value))


def _trimmed(text: str) -> str:
    if not text.isascii():
        # A lone surrogate has no UTF-8, and SQLite takes nothing else.
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
