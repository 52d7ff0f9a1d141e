"""The canonical form of a URL, and its hash: the only trace of a URL that is stored."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from typing import Final
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ftp": "21"}
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SUB_DELIMS: Final = "!$&'()*+,;="
# RFC 3986, appendix A: what may stand unencoded in each part.
_HOST: Final = _UNRESERVED | frozenset(_SUB_DELIMS + "[]:")
_PATH: Final = _UNRESERVED | frozenset(_SUB_DELIMS + ":@/")
_QUERY: Final = _PATH | frozenset("?")
_ANYWHERE: Final = _QUERY | frozenset("[]")

_TOKEN: Final = re.compile(r"%([0-9A-Fa-f]{2})|(.)", re.DOTALL)


def canonical_url(url: str) -> str:
    """Return the canonical form of a URL: equal for URLs that name the same thing.

    Scheme and host are lower-case; the default port, credentials and fragment are dropped; an
    empty path is ``/``; percent-encoding is upper-case and used only where it is needed
    (RFC 3986, 6.2.2); query parameters are sorted by key, then value, and empty ones dropped.
    ``+`` and ``%20`` stay apart, and so do ``a`` and ``a=``: servers may tell them apart.

    Never raises: text that is no absolute URL loses its fragment and is percent-normalised.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
    except ValueError:  # such as an IPv6 address without its closing bracket
        return _normalise(text.partition("#")[0], _ANYWHERE)
    if not parts.scheme or not parts.netloc:
        return _normalise(text.partition("#")[0], _ANYWHERE)
    return _assemble(parts)


def hash_url(url: str) -> str:
    """Return the SHA-256 of the canonical URL, as 64 hex digits."""
    return hashlib.sha256(canonical_url(url).encode("ascii")).hexdigest()


def _assemble(parts: SplitResult) -> str:
    scheme = parts.scheme.lower()
    path = _normalise(parts.path, _PATH) or "/"
    query = _sorted_query(parts.query)
    return f"{scheme}://{_authority(scheme, parts.netloc)}{path}{'?' if query else ''}{query}"


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
    pieces = (_normalise(piece, _QUERY) for piece in query.split("&") if piece)
    return "&".join(sorted(pieces, key=lambda piece: piece.partition("=")[::2] + (piece,)))


def _normalise(text: str, allowed: frozenset[str]) -> str:
    """Percent-encode what is not allowed, decode what need not be encoded, upper-case the rest."""

    def token(match: re.Match[str]) -> str:
        encoded, character = match.groups()
        if encoded is None:
            return character if character in allowed else _percent(character)
        decoded = chr(int(encoded, 16))
        return decoded if decoded in _UNRESERVED else f"%{encoded.upper()}"

    return _TOKEN.sub(token, text)


def _percent(character: str) -> str:
    # A lone surrogate has no UTF-8; a hash must still come out, and the same one each time.
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
