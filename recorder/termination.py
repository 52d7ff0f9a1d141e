"""A last chance to write when the process is told to end by SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType


def before_sigterm(last_words: Callable[[], None]) -> None:
    """Call last_words when SIGTERM comes, and then end as without it, by the signal.

    Only where SIGTERM would end the process at once. A program that has a handler of its own
    keeps it, one that sets a handler later replaces this one, and both end in their own way.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        try:
            last_words()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

    with suppress(ValueError, OSError):  # in an interpreter that is not the main one
        signal.signal(signal.SIGTERM, on_sigterm)
