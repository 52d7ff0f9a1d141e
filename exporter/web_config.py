"""TLS and passwords of the exporter, from a file such as other Prometheus exporters take.

The keys and their meaning are those of the exporter toolkit's web configuration
(https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import ssl
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
import yaml

from exporter.errors import UsageError, one_line

_VERSIONS = {
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
#: Python's TLS verifies every certificate that it asks for, so Go's two kinds that do not verify
#: one cannot be had.
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
#: Headers that say what an answer is.
_OURS = {"content-type", "content-length", "content-encoding", "transfer-encoding", "connection"}
#: Checked where no such user is known, so that an answer's time does not tell who is.
_NOBODY = bcrypt.hashpw(b"", bcrypt.gensalt(10))
#: Wrong passwords that are remembered, because bcrypt is slow on purpose.
_REMEMBERED = 1_000


@dataclass
class WebConfig:
    """What the web configuration file says.

    Attributes:
        tls: the context for new connections; None for plain HTTP.
        users: bcrypt hashes by user; empty where nobody has to log in.
        headers: added to every answer.
    """

    tls: ssl.SSLContext | None = None
    users: dict[str, bytes] = field(default_factory=dict)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


def read(path: Path | None) -> WebConfig:
    """Read a web configuration file; none means plain HTTP for everybody.

    Raises:
        UsageError: the file, or a file that it names, is missing or wrong.
    """
    if path is None:
        return WebConfig()
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the web config {path}: {one_line(error)}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"web config {path} is not YAML: {one_line(error)}") from None
    top = _section(path, "the file", content, _TOP)
    return WebConfig(
        tls=_tls(path, _section(path, "tls_server_config", top.get("tls_server_config"), _TLS)),
        users=_users(path, top.get("basic_auth_users") or {}),
        headers=_headers(
            path,
            _section(path, "http_server_config", top.get("http_server_config"), {"headers"}),
        ),
    )


_TOP = {"tls_server_config", "basic_auth_users", "http_server_config"}
_TLS = {
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "min_version",
    "max_version",
}


def _section(path: Path, name: str, content: Any, known: Collection[str]) -> dict[str, Any]:
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"web config {path}: {name} is not a mapping")
    unknown = [str(key) for key in content if key not in known]
    if unknown:
        raise UsageError(
            f"web config {path}: {name} does not know {', '.join(unknown)}; "
            f"it knows {', '.join(sorted(known))}"
        )
    return content


def _tls(path: Path, section: dict[str, Any]) -> ssl.SSLContext | None:
    if not section:
        return None
    for key in ("cert_file", "key_file"):
        if not section.get(key):
            raise UsageError(f"web config {path}: tls_server_config wants {key}")
    auth = str(section.get("client_auth_type") or "NoClientCert")
    if auth not in _CLIENT_AUTH:
        raise UsageError(
            f"web config {path}: client_auth_type is {auth!r}; it is one of "
            f"{', '.join(_CLIENT_AUTH)}"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    context.minimum_version = _version(path, section, "min_version", "TLS12")
    context.maximum_version = _version(path, section, "max_version", "TLS13")
    if context.minimum_version > context.maximum_version:
        raise UsageError(f"web config {path}: min_version is above max_version")
    try:
        context.load_cert_chain(
            *(str(path.parent / str(section[key])) for key in ("cert_file", "key_file"))
        )
        if section.get("client_ca_file"):
            context.load_verify_locations(str(path.parent / str(section["client_ca_file"])))
        elif auth != "NoClientCert":
            raise UsageError(f"web config {path}: client_auth_type {auth} wants client_ca_file")
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"web config {path}: cannot use the certificate, key or CA: {one_line(error)}"
        ) from None
    context.verify_mode = _CLIENT_AUTH[auth]
    return context


def _version(path: Path, section: dict[str, Any], key: str, default: str) -> ssl.TLSVersion:
    name = str(section.get(key) or default)
    if name not in _VERSIONS:
        raise UsageError(
            f"web config {path}: {key} is {name!r}; it is one of {', '.join(_VERSIONS)}"
        )
    return _VERSIONS[name]


def _users(path: Path, section: Any) -> dict[str, bytes]:
    if not isinstance(section, dict):
        raise UsageError(f"web config {path}: basic_auth_users is not a mapping")
    users = {}
    for name, hashed in section.items():
        try:
            users[str(name)] = str(hashed).encode()
            bcrypt.checkpw(b"", users[str(name)])
        except ValueError:
            raise UsageError(
                f"web config {path}: the password of {name} is no bcrypt hash; "
                "make one with htpasswd -nBC 10 NAME"
            ) from None
    return users


def _headers(path: Path, section: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    headers = section.get("headers") or {}
    if not isinstance(headers, dict):
        raise UsageError(f"web config {path}: headers is not a mapping")
    for name, value in headers.items():
        is_name = re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", str(name))
        if not is_name or not re.fullmatch(r"[\x20-\x7e]*", str(value)):
            raise UsageError(f"web config {path}: {name!r} is no header, or has a bad value")
        if str(name).lower() in _OURS:
            raise UsageError(f"web config {path}: the header {name} is the exporter's own")
    return [(str(n).lower().encode(), str(v).encode()) for n, v in headers.items()]


class Passwords:
    """Checks passwords against bcrypt hashes, each pair of the two once."""

    def __init__(self, users: dict[str, bytes]) -> None:
        self._users = users
        self._right: set[bytes] = set()
        self._wrong: set[bytes] = set()
        self._secret = hashlib.sha256(bcrypt.gensalt()).digest()
        self._turn = asyncio.Semaphore(1)

    async def fit(self, user: str, password: str) -> bool:
        """Tell whether a user has this password; one that was right before need not wait."""
        hashed = self._users.get(user, _NOBODY)
        mark = hmac.digest(self._secret, hashed + b"\0" + password.encode(), "sha256")
        if mark not in self._right and mark not in self._wrong:
            async with self._turn:
                # longer ones cannot be told apart by bcrypt, which some versions refuse to try
                fits = len(password.encode()) <= 72 and await asyncio.to_thread(
                    bcrypt.checkpw, password.encode(), hashed
                )
            if len(self._wrong) >= _REMEMBERED:
                self._wrong.clear()
            (self._right if fits and user in self._users else self._wrong).add(mark)
        return mark in self._right
