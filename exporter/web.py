"""Questions to services over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from exporter.errors import UsageError

#: Seconds that a service has to answer.
_TIMEOUT_S: Final = 10.0
#: Bytes of an answer that are read; metrics of 200 hosts are under one MiB.
_ANSWER_BYTES: Final = 64 << 20


class NoAnswer(Exception):
    """A service could not be asked; the message says why, without its address.

    Attributes:
        status: what it answered instead; None where it did not.
    """

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.status = status


def place(url: str) -> str:
    """Return the host and port of an address, without what may be secret.

    Raises:
        UsageError: it is not one of HTTP.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("an address begins with http:// or https://, and has a host")
    return f"{parts.hostname}:{port}" if port else parts.hostname


def get(url: str, token: str | None = None) -> bytes:
    """Return what a service answers.

    Args:
        url: its address, http or https; a user and password in it are sent, and never shown.
        token: sent as bearer token.

    Raises:
        NoAnswer: it did not answer, or with an error.
        UsageError: the address is not one of HTTP.
    """
    where = place(url)
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(parts._replace(netloc=netloc).geturl())
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    elif parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        basic = b64encode(pair.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {basic}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            return bytes(answer.read(_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            raise NoAnswer(f"{where} answers {error.code}", error.code) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise NoAnswer(f"{where} does not answer: {type(why).__name__}") from None


def get_json(url: str, token: str | None = None) -> Any:
    """Return what a service answers in JSON.

    Raises:
        NoAnswer: it did not answer, or not in JSON.
    """
    try:
        return json.loads(get(url, token))
    except ValueError:
        raise NoAnswer(f"{place(url)} answers with something that is not JSON") from None
