"""What files a test's own process has open."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def opened(path: Path | str) -> int:
    """Return how many times this process has a file open."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own descriptor
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return links.count(str(path))
