"""Writers at the ends of processes, and in the children that are forked from them."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
import weakref
from contextlib import suppress
from types import FrameType
from typing import Final, Protocol

#: Seconds that the end of the interpreter may take longer because of telemetry.
AT_EXIT_S: Final = 10.0
#: And SIGTERM.
_AT_SIGTERM_S: Final = 2.0


class Lasting(Protocol):
    """What has to write before its process ends."""

    def stop(self, deadline: float) -> None:
        """Write what is left, until a time of `time.monotonic`; returns at once."""

    def join(self) -> None:
        """Wait for that."""

    def forget(self) -> None:
        """Start anew in a forked child."""


_writers: Final[weakref.WeakSet[Lasting]] = weakref.WeakSet()
_workers: Final[set[int]] = set()


def add(writer: Lasting) -> None:
    """Have a writer write what it has before the process ends."""
    _writers.add(writer)


def end_all(timeout_s: float = AT_EXIT_S) -> None:
    """Stop all writers at once, so that together they take no longer than one."""
    deadline = time.monotonic() + timeout_s
    writers = list(_writers)
    for writer in writers:
        writer.stop(deadline)
    for writer in writers:
        writer.join()


def end_with_worker() -> None:
    """Stop them also when a child of multiprocessing ends, which is without atexit."""
    if "multiprocessing" in sys.modules and os.getpid() not in _workers:
        _workers.add(os.getpid())
        from multiprocessing import util

        util.Finalize(None, end_all, exitpriority=0)


def end_at_sigterm() -> None:
    """Stop them when SIGTERM comes, and then end as without this, by the signal.

    Only where SIGTERM would end the process at once. A program that has a handler of its own
    keeps it, one that sets a handler later replaces this one, and both end in their own way.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    with suppress(ValueError, OSError):  # in an interpreter that is not the main one
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    try:
        end_all(_AT_SIGTERM_S)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _after_fork() -> None:
    # The parent writes what it has queued; the child must not write it again.
    for writer in list(_writers):
        writer.forget()


atexit.register(end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
