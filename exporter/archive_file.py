"""The archive's other process: it takes runs out of a telemetry file, with Python's own SQLite.

DuckDB brings a copy of the SQLite library of its own, and two copies in one process drop each
other's locks on a file. So this process never loads DuckDB, and the other never opens the file
while it is written. One request a line on stdin, one answer a line on stdout, both JSON.

A run is copied aside, from one snapshot; the other process makes Parquet of the copy; then those
rows are deleted that are still, value by value, what was copied.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sqlite3
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from exporter import archive_delete, archive_tables
from exporter.archive_delete import PAUSE_S, PAUSE_SHARE
from exporter.archive_tables import Table, quoted
from exporter.errors import one_line
from exporter.sqlite_file import BUSY_TIMEOUT_S, uri
from exporter.sqlite_reason import trouble

#: Seconds to wait for a writer, once the work has begun.
_BUSY_S: Final = 30.0
#: Pages that one step of an incremental vacuum gives back.
_VACUUM_PAGES: Final = 2000

#: What the copy is called where it is attached.
_ASIDE: Final = "aside_copy"
_PLAIN_TYPE: Final = re.compile(r"[A-Za-z_ ]*(\(\d+(, *\d+)?\))?")

Answer = dict[str, Any]


class Unable(Exception):
    """A request that cannot be met; the message is one line."""


class File:
    """A telemetry file, open for as long as its archive takes."""

    def __init__(self, path: str, write: bool) -> None:
        """Open it.

        Args:
            path: the file, or for reading a copy of it.
            write: take runs out of it.

        Raises:
            Unable: it cannot be written, or another process is at it.
            sqlite3.Error: SQLite cannot open it.
        """
        self.path = Path(path)
        # held, and never closed before the end: a close would drop SQLite's own locks
        self._lock = os.open(path, os.O_RDONLY)
        if write:
            if not os.access(path, os.W_OK):
                raise Unable("it cannot be written: run this as its owner")
            self._take_lock()
        self.connection = sqlite3.connect(
            uri(self.path, "mode=rw" if write else "mode=ro"),
            uri=True,
            isolation_level=None,
            timeout=BUSY_TIMEOUT_S,
        )
        # another program's text may be anything
        self.connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
        self.connection.execute("pragma foreign_keys = off")
        mode = self.connection.execute("pragma journal_mode").fetchone()[0]
        if write:
            if mode == "wal":  # what a loss of power undoes there is in the archive as well
                self.connection.execute("pragma synchronous = normal")
            self.connection.execute("begin immediate")
            self.connection.execute("rollback")
        self.connection.execute(f"pragma busy_timeout = {int(_BUSY_S * 1000)}")
        self.tables = archive_tables.telemetry_tables(self.connection)

    def close(self) -> None:
        """Let go of the file; its lock last."""
        self.connection.close()
        os.close(self._lock)

    def _take_lock(self) -> None:
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unable("another archive is at work on it: wait for it") from None
                time.sleep(0.1)
            except OSError:  # a file system without such locks
                return

    def look(self, deep: bool) -> Answer:
        """Return what can be taken out of the file, and how its bytes are spread.

        Args:
            deep: count bytes page by page, which reads all of the file.
        """
        held: dict[str, str] = {}
        everything: list[str] = []
        for table in self.tables:
            found = archive_tables.held_back(self.connection, table)
            if found is not None and found[0] is not None:
                held.setdefault(found[0], found[1])
            elif found is not None:
                everything.append(found[1])
        return {
            "refusal": archive_tables.refusal(self.connection, self.tables),
            "held": held,
            "held_tables": everything,
            "noted": self._noted(),
            "renumbered": [t.name for t in self.tables if not t.has_index],
            "page_bytes": self._pragma("page_size"),
            "pages": self._pragma("page_count"),
            "free_pages": self._pragma("freelist_count"),
            "auto_vacuum": self._pragma("auto_vacuum"),
            "tables": self._table_bytes() if deep else None,
        }

    def _noted(self) -> dict[str, str]:
        """Return the runs that were archived before, each with the archive that it went to."""
        try:
            rows = self.connection.execute("select run_id, archive from archived_runs").fetchall()
        except sqlite3.OperationalError:
            return {}
        return {str(run): str(archive) for run, archive in rows}

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"pragma {name}").fetchone()[0])

    def _table_bytes(self) -> dict[str, int] | None:
        """Return the bytes of each table, its indexes included; None without SQLite's dbstat."""
        try:
            rows = self.connection.execute(
                "select coalesce(m.tbl_name, s.name), sum(s.pgsize) from dbstat as s "
                "left join sqlite_master as m on m.name = s.name "
                "where s.aggregate = true group by 1"
            ).fetchall()
        except sqlite3.OperationalError:
            return None
        return {str(name): int(size) for name, size in rows}

    def copy(self, run: str, aside: str, ranges: dict[str, list[int]]) -> Answer:
        """Copy a run's rows, all from one snapshot, into a new file.

        Args:
            run: the run.
            aside: the file to make.
            ranges: lowest and highest id of its rows, by table, where no index finds them.
        """
        execute = self.connection.execute
        execute(f"attach ? as {_ASIDE}", [aside])
        execute(f"pragma {_ASIDE}.journal_mode = off")
        execute(f"pragma {_ASIDE}.synchronous = off")
        rows = {}
        execute("begin")
        try:
            for table in self.tables:
                columns = ", ".join(_declared(table, c, kind) for c, kind in table.columns)
                execute(f"create table {_ASIDE}.{quoted(table.name)} ({columns})")
                if table.run is not None:
                    rows[table.contract] = self._copy_table(table, run, ranges)
            held = [archive_tables.held_back(self.connection, table) for table in self.tables]
            execute("commit")
            # a writing transaction locks all that is attached, and the copy is read meanwhile
            execute(f"detach {_ASIDE}")
        except BaseException as error:
            with suppress(sqlite3.Error):
                execute("rollback")
            self.drop(aside)
            if "full" in str(error):  # only the copy is written to
                folder = Path(aside).parent.parent
                raise Unable(f"no room in {folder} for a copy of the run: free some") from None
            raise
        return {"rows": rows, "held": [why for found in held if found for which, why in [found]
                                       if which == run]}  # fmt: skip

    def _copy_table(self, table: Table, run: str, ranges: dict[str, list[int]]) -> int:
        names = [quoted(name) for name, _ in table.columns]
        if table.rowid is not None and table.key is None:
            names.append(table.rowid)
        where, values = table.of_run("live"), {"run": run, "low": 0, "high": 0}
        if not table.is_indexed_by_run and table.key is not None and table.contract in ranges:
            where += f" and live.{table.rowid} between :low and :high"
            values |= dict(zip(("low", "high"), ranges[table.contract], strict=True))
        read = ", ".join(f"live.{name}" for name in names)
        return self.connection.execute(
            f"insert into {_ASIDE}.{quoted(table.name)} ({', '.join(names)}) "
            f"select {read} from main.{quoted(table.name)} as live where {where}",
            values,
        ).rowcount

    def delete(self, run: str, aside: str, archive: str, archived_at: str) -> Answer:
        """Delete those of a run's rows that are what was copied; as `archive_delete.delete`."""
        archive_delete.note(self.connection, run, archive, archived_at)
        self.connection.execute(f"attach ? as {_ASIDE}", [aside])
        told = archive_delete.delete(self.connection, self.tables, run, _ASIDE)
        self.drop(aside)
        return told

    def drop(self, aside: str) -> Answer:
        """Let go of a copy, and remove it."""
        with suppress(sqlite3.Error):
            self.connection.execute(f"detach {_ASIDE}")
        Path(aside).unlink(missing_ok=True)
        return {}

    def vacuum(self, whole: bool) -> Answer:
        """Give free pages back to the disk: all at once, or in steps that let writers through.

        Returns:
            What was not done, and why; empty when it was done.
        """
        renumbered = [t.name for t in self.tables if not t.has_index]
        problem = ""
        if whole and renumbered:
            problem = (
                f"no VACUUM: it would number the rows of {', '.join(renumbered)} anew "
                "(give the table an INTEGER PRIMARY KEY)"
            )
        elif whole and self.checkpoint()["is_busy"]:
            # all of the file would be written to the log, which could not be brought in
            problem = "no VACUUM: someone reads the file: try again when that is done"
        elif whole:
            self.connection.execute("vacuum")
        elif self._pragma("auto_vacuum") != 2:
            problem = (
                "no incremental vacuum: the file is not made for it "
                "(once: PRAGMA auto_vacuum = incremental; VACUUM)"
            )
        else:
            while left := self._pragma("freelist_count"):
                began = time.monotonic()
                # a row for each page that is given back, and no more pages than rows fetched
                self.connection.execute(f"pragma incremental_vacuum({_VACUUM_PAGES})").fetchall()
                if self._pragma("freelist_count") >= left:
                    break
                time.sleep(max((time.monotonic() - began) * PAUSE_SHARE, PAUSE_S))
        if self.checkpoint()["is_busy"] and not problem:
            problem = "not smaller yet: someone reads the file; the next archive makes it so"
        return {"problem": problem}

    def checkpoint(self) -> Answer:
        """Bring the write-ahead log into the file, and cut it where no reader needs it."""
        # a reader or writer at work is not waited for
        self.connection.execute("pragma busy_timeout = 1000")
        try:
            row = self.connection.execute("pragma wal_checkpoint(truncate)").fetchone()
        finally:
            self.connection.execute(f"pragma busy_timeout = {int(_BUSY_S * 1000)}")
        return {"is_busy": bool(row and row[0])}


def _declared(table: Table, column: str, kind: str) -> str:
    """Return a column as the copy declares it: of the same affinity, and no rules of its own."""
    if column == table.key:
        return f"{quoted(column)} INTEGER PRIMARY KEY"
    return f"{quoted(column)} {kind if _PLAIN_TYPE.fullmatch(kind) else quoted(kind)}"


def main() -> None:
    """Answer requests, line by line; what cannot be done is answered with an error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command hears it too, and ends this process
    file: File | None = None
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        what = request.pop("do")
        answer: Answer
        try:
            if what == "open":
                if file is not None:
                    file.close()
                file = File(**request)
                answer = {}
            else:
                assert file is not None
                answer = getattr(file, what)(**request)
        except Unable as unable:
            answer = {"error": str(unable)}
        except sqlite3.Error as error:
            answer = {"error": str(trouble(error))}
        except OSError as error:
            answer = {"error": one_line(error, 200)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
