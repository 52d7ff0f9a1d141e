"""The canonical form of a URL, and its hash: the only trace of a URL that is stored."""

from __future__ import annotations

import hashlib
import hmac
import re
from contextlib import suppress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ftp": "21"}
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SUB_DELIMS: Final = "!$&'()*+,;="


def _others(allowed: str) -> re.Pattern[str]:
    """Return a pattern of an encoded byte, or of a character that must be encoded."""
    unencoded = re.escape("".join(sorted(_UNRESERVED)) + allowed)
    return re.compile(rf"%([0-9A-Fa-f]{{2}})|([^{unencoded}])", re.DOTALL)


# RFC 3986, appendix A: what may stand unencoded in each part.
# As patterns that match what may not, so that the usual part, which is fine, costs one search.
_HOST: Final = _others(_SUB_DELIMS + "[]:")
_PATH: Final = _others(_SUB_DELIMS + ":@/")
_QUERY: Final = _others(_SUB_DELIMS + ":@/?")
_ANYWHERE: Final = _others(_SUB_DELIMS + ":@/?[]")

# What nearly every URL looks like; the rest is left to urlsplit, which is four times as slow.
_PLAIN: Final = re.compile(
    r"([a-z][a-z0-9+.\-]*)://([!$-.0-;=@-Z^-~]+)(/[^?#\x00-\x20]*)?(?:\?([^#\x00-\x20]*))?(?:#.*)?",
    re.IGNORECASE,
)


def canonical_url(url: str) -> str:
    """Return the canonical form of a URL: equal for URLs that name the same thing.

    Scheme and host are lower-case; the default port, credentials and fragment are dropped; an
    empty path is ``/``; percent-encoding is upper-case and used only where it is needed
    (RFC 3986, 6.2.2); query parameters are sorted by key, then value, and empty ones dropped.
    ``+`` and ``%20`` stay apart, and so do ``a`` and ``a=``: servers may tell them apart.

    Never raises: text that is no absolute URL loses its fragment and is percent-normalised.
    """
    text = url.strip()
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        scheme, netloc, path, query = plain.groups("")
        return _assemble(scheme, netloc, path, query)
    try:
        parts = urlsplit(text)
    except ValueError:  # such as an IPv6 address without its closing bracket
        return _normalise(text.partition("#")[0], _ANYWHERE)
    if not parts.scheme or not parts.netloc:
        return _normalise(text.partition("#")[0], _ANYWHERE)
    return _assemble(parts.scheme, parts.netloc, parts.path, parts.query)


def hash_url(url: str, key: bytes = b"") -> str:
    """Return the SHA-256 of the canonical URL as 64 hex digits; with a key, the HMAC-SHA-256.

    A plain hash of a URL that can be guessed can be looked up; one under a key cannot.
    """
    canonical = canonical_url(url).encode("ascii")
    if key:
        return hmac.new(key, canonical, hashlib.sha256).hexdigest()
    return hashlib.sha256(canonical).hexdigest()


def _assemble(scheme: str, netloc: str, path: str, query: str) -> str:
    path = _normalise(path, _PATH) or "/"
    query = _sorted_query(query) if query else ""
    return f"{_site(scheme.lower(), netloc)}{path}{'?' if query else ''}{query}"


@lru_cache(1024)
def _site(scheme: str, netloc: str) -> str:
    return f"{scheme}://{_authority(scheme, netloc)}"


def _authority(scheme: str, netloc: str) -> str:
    _, _, address = netloc.rpartition("@")
    host, separator, port = address.rpartition(":")
    if not separator or not (port.isascii() and (port.isdigit() or not port)):
        host, port = address, ""  # no port: a plain name, or an IPv6 address in brackets
    port = port.lstrip("0")
    if port == _DEFAULT_PORTS.get(scheme):
        port = ""
    return f"{_host(host)}:{port}" if port else _host(host)


def _host(host: str) -> str:
    if not host.isascii():
        # a name that is not valid is percent-encoded below, which is as good for a hash
        with suppress(UnicodeError):
            host = host.encode("idna").decode("ascii")
    # Twice, because lower-casing the name lower-cases its percent-encodings too.
    return _normalise(_normalise(host, _HOST).lower(), _HOST)


def _sorted_query(query: str) -> str:
    pieces = list(filter(None, _normalise(query, _QUERY).split("&")))
    if len(pieces) < 2:
        return "".join(pieces)
    return "&".join(sorted(pieces, key=lambda piece: piece.partition("=")[::2] + (piece,)))


def _normalise(text: str, others: re.Pattern[str]) -> str:
    """Percent-encode what is not allowed, decode what need not be encoded, upper-case the rest."""
    return others.sub(_normalised, text)


def _normalised(match: re.Match[str]) -> str:
    encoded, character = match.groups()
    if encoded is None:
        return _percent(character)
    decoded = chr(int(encoded, 16))
    return decoded if decoded in _UNRESERVED else f"%{encoded.upper()}"


def _percent(character: str) -> str:
    # A lone surrogate has no UTF-8; a hash must still come out, and the same one each time.
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
