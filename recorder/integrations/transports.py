"""What the layers of an httpx client tell each other: ``httpx_limiter`` and ``httpx_breaker``.

Each of the two needs a library of its own, and either may be there without the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from recorder.events import Recorder
from recorder.notes import note_under_way

_UNSENT: Final = "docstokg_unsent"


def is_unsent(error: BaseException) -> bool:
    """Return whether an exception was raised by a layer that did not send the request."""
    return getattr(error, _UNSENT, False) is True


@contextmanager
def holding_back(recorder: Recorder, host: str) -> Iterator[None]:
    """Wrap what may keep a request from being sent: whatever it raises is marked and noted.

    A mark on the exception, rather than a class of its own, because a layer may be stopped by
    anything: a mistake in its settings, or the cancellation of a task that waits.
    """
    try:
        yield
    except BaseException as error:
        with suppress(Exception):
            setattr(error, _UNSENT, True)
        note_safely(recorder, host, refused=True)
        raise


@contextmanager
def passing_on(recorder: Recorder, host: str) -> Iterator[None]:
    """Wrap the call of the inner transport, and note that the request was sent.

    Noted afterwards, because only then it is known whether a layer further in held it back.
    """
    try:
        yield
    except BaseException as error:
        if not is_unsent(error):
            note_safely(recorder, host, sent=True)
        raise
    note_safely(recorder, host, sent=True)


def note_safely(recorder: Recorder, host: str, **fields: Any) -> None:
    """Note fields for the row of the request under way, if there will be one; never raises."""
    with suppress(Exception):
        if recorder.enabled:
            note_under_way(host, **fields)
