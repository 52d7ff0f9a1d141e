"""Progress on stderr while a person waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from exporter.errors import printable


@contextmanager
def progress(
    what: str, verbose: bool
) -> Iterator[tuple[Callable[[str], None], Callable[[str, int, int], None]]]:
    """Show progress on stderr while a person waits; silent where stderr is not a terminal."""
    if verbose or not sys.stderr.isatty():
        yield _say, lambda done, number, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def say(message: str) -> None:
            bar.update(task, description=message)

        def step(done: str, number: int, total: int) -> None:
            bar.update(task, description=done, completed=number, total=total)

        yield say, step


def _say(message: str) -> None:
    print(printable(message), file=sys.stderr)
