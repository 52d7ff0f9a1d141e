"""How long generated files take that are loaded, sound, and equal to plain Python."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from exporter.compiled import compiled
from exporter.paths import project_dir
from tests.python.support import generated


def measure(folder: Path, files: int, note: Callable[..., None]) -> None:
    """Build all models over so many generated files, a few hundred at a time.

    Args:
        folder: of this benchmark; gets a warehouse with the compiled models.
        files: how many; whole hundreds are made.
        note: takes the figure.

    Exits with the first fault; its file stays.
    """
    os.environ["DOCSTOKG_WAREHOUSE"] = str(folder / "unused")
    models = compiled(project_dir(), lambda message: None)
    began, done = time.process_time(), 0
    for number in range(-(-files // generated.FILES)):
        some = generated.generated(number)
        if wrong := generated.faults(models, Path(tempfile.mkdtemp()) / "files", some):
            sys.exit("\n".join(wrong))
        done += len(some)
    each = 1000 * (time.process_time() - began) / done
    note(f"{done:,} generated files, sound", each, "wrong", 0, "none wrong", "ms each")
