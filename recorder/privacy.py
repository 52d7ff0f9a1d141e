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

_SITE: Final = r"(?:[\w.\-]+|\[[0-9a-f:.]+\])(?::\d+)?"
# Names of secrets: the long ones within longer names too, such as aws_secret_access_key.
_SECRETS: Final = (
    r"(?:[\w\-]*(?:token|secret|passw(?:or)?d|passphrase|api[_\- ]?key|access[_\- ]?key|credential"
    r"|private[_\- ]?key|authori[sz]ation|signature|session[_\- ]?id|cookie)[\w\-]*"
    r"|(?<![a-z])(?:key|sig|auth|pass|pwd|jwt|sid|session|x-amz-[\w\-]+)(?![a-z]))"
)
# Every pattern starts at the start of a word, so that a long word costs one look, not one for
# each of its characters.
_ADDRESSES: Final = (
    # a scheme, plain, percent-encoded, as JSON has it, or with the one slash that a path leaves
    r"(?<![a-z0-9+.\-])[a-z0-9+.\-]+(?:://|:%2f|%3a%2f|%3a//|:\\/)|(?<![a-z])https?:/",
    rf"(?<![\w/:])//{_SITE}",
    # a login, with a password or before a path; a query
    rf"(?<![^\s/@:\"'<>])[^\s/@:\"'<>]*:[^\s/@\"'<>]+@{_SITE}",
    rf"(?<![^\s/@:\"'<>])[^\s/@:\"'<>]+@{_SITE}[/?#]",
    r"(?<![^\s\"'(<>\[])[^\s\"'(<>\[?]*\?[^\s?]",
    r"(?<![\w%.\-])[\w%.\-]+=[^\s&=]*&[\w%.\-]+=",
)
# In free text also what could be a path or an address of any kind. Not in identifiers, which may
# well be paths of files.
_ADDRESSES_IN_TEXT: Final = (
    r"(?<![\w./\-])(?:[\w\-]+\.)+[a-z]{2,}(?::\d+)?/",
    r"(?<![\w./\-*])/(?=[\w%.~\-])",
    r"(?<!\[)\bur[il]s?\b[^:'\"(]{0,30}[:'\"(]\s*['\"]?(?=[^\s'\"])(?!\[)",
)
_CREDENTIALS: Final = (
    # name: value, name=value, ('name', 'value'), {"name": "value"}, <name>value
    rf"(?<![\w\-])(?:{_SECRETS})['\"\])>]*\s*(?:[:=,>]|%3d)\s*",
    r"(?<=<)(?:token|password|secret)>",
    r"\b(?:bearer|basic|negotiate|ntlm|apikey|api key|aws4-hmac-sha256"
    r"|(?:digest|token)(?=\s+\S*\d))\s+(?=[a-z0-9._~+/=\-]{6,})",
    # the shapes of well-known tokens
    r"\b(?=akia[0-9a-z]{12}|gh[pousr]_\w{20}|xox[abp]-\w|eyj[\w\-]{10}|sk-\w{16}|-----begin)",
    r"(?<=\s)-u\s+(?=\S+:\S)",
    r"\bheaders?\b[^:=]{0,60}[:=]\s*",
)


def _any(address: tuple[str, ...], credential: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(
        f"(?P<address>{'|'.join(address)})|(?P<credential>{'|'.join(credential)})", re.IGNORECASE
    )


_IN_TEXT: Final = _any(_ADDRESSES + _ADDRESSES_IN_TEXT, _CREDENTIALS)
_IS_ADDRESS: Final = re.compile("|".join(_ADDRESSES + _ADDRESSES_IN_TEXT[:-1]), re.IGNORECASE)
_IN_A_NAME: Final = _any(_ADDRESSES, _CREDENTIALS[:-1])
_SECRET_KEY: Final = re.compile(_SECRETS, re.IGNORECASE)
_ADDRESS_KEY: Final = re.compile(
    r"[\w\-]*(?:ur[il]|href|referer|location|query|params|headers?|cookies?)", re.IGNORECASE
)
_HOST: Final = re.compile(
    r"(?:[\w\-]+(?:\.[\w\-]+)*\.?|\[[0-9a-f:.]+\])(?::\d{1,5})?|[0-9a-f:.]*:[0-9a-f:.]*",
    re.IGNORECASE,
)
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")

_URL: Final = "[url]"
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
        self._texts: Callable[[str], str] = lru_cache(2048)(self._text)
        self._names: Callable[[str], str] = lru_cache(2048)(self._name)
        self._hosts: Callable[[str], str] = lru_cache(2048)(self._host)

    def text(self, text: str) -> str:
        """Return free text up to the first address or secret in it, and a word in its place."""
        return self._texts(text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT + 1])

    def name(self, text: str) -> str:
        """Return text that identifies something: its hash where an address or secret is in it."""
        return self._names(text) if len(text) <= TEXT_LIMIT else hash_url(text, self._key)

    def host(self, text: str) -> str:
        """Return the host name alone of what was given as one."""
        return self._hosts(text[:TEXT_LIMIT])

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

    @staticmethod
    def _text(text: str) -> str:
        found = _IN_TEXT.search(text)
        if found is None:
            return _storable(text)
        # To its end: where an address or a secret ends, nobody can tell.
        if found["address"] is not None:
            # But for what leads to it, such as the words "for url:".
            kept = found.start() if _IS_ADDRESS.match(text, found.start()) else found.end()
            return _storable(text[:kept]) + _URL
        return _storable(text[: found.end()]) + _HIDDEN

    def _name(self, text: str) -> str:
        return hash_url(text, self._key) if _IN_A_NAME.search(text) else _storable(text)

    @staticmethod
    def _host(text: str) -> str:
        if not _HOST.fullmatch(text):
            _, scheme, rest = text.partition("://")
            try:
                text = urlsplit(f"//{rest if scheme else text.lstrip('/')}").hostname or ""
            except ValueError:
                text = ""
            if not _HOST.fullmatch(text):
                return _HIDDEN
        return _storable(text)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            # a number may be a key: JSON makes it text
            return {
                self.text(str(key)): self._of_key(str(key), inner) for key, inner in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            items = list(value)
            if len(items) == 2 and isinstance(items[0], str):  # a header, as clients list them
                return [self.text(items[0]), self._of_key(items[0], items[1])]
            return [self._clean(inner) for inner in items]
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, BaseException):
            return type(value).__name__
        return self.text(str(value))

    def _of_key(self, key: str, value: Any) -> Any:
        """Clean a value that has a name; nothing is kept of one that is secret by its name."""
        if value is None or isinstance(value, bool):
            return value
        if _SECRET_KEY.fullmatch(key):
            return _HIDDEN
        return _URL if _ADDRESS_KEY.fullmatch(key) else self._clean(value)


def _storable(text: str) -> str:
    if not text.isascii():
        # A lone surrogate has no UTF-8, and SQLite takes nothing else.
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
