"""Why a file cannot be read, and what to do that loses nothing: one map from SQLite's own words.

Loads neither SQLite nor DuckDB, so that every process may use it.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.errors import one_line, shown

#: DuckDB puts the query before SQLite's reason, and a line of its own query behind it.
_AROUND: Final = re.compile(
    r'^(?:.*Failed to \w+ query ".*": )?(.*?)(?:\n\nLINE \d+: .*)?$', re.DOTALL
)
#: The schema names what only the application that wrote the file has: no damage.
_FOREIGN: Final = re.compile(
    r"no such (?:module|collation sequence|function|tokenizer)\b|unknown (?:function|tokenizer)\b"
)
#: What to do about damage: nothing of the file is given up before something better is there.
DAMAGED: Final = (
    "keep it, and restore a backup under another name, or save what is left: "
    "sqlite3 FILE .recover | sqlite3 NEW"
)
#: What SQLite's own words mean, the first that is found in them.
_MEANINGS: Final = (
    (
        r"locked",
        "locked by another program, which holds it exclusively",
        "try again when its writer is done; who that is says: fuser -v FILE",
    ),
    (
        r"readonly|CANTINIT|ROLLBACK",
        "its last writer was killed half-way, and what it began is to be undone first",
        "nothing is lost: as a user who may write it and its folder, run "
        "sqlite3 FILE 'pragma integrity_check' once",
    ),
    (
        r"malformed|disk image",
        "damaged SQLite database (cut short or overwritten)",
        DAMAGED,
    ),
    (
        r"disk I/O",
        "the disk or its file system does not give it back",
        "see what the system's log says of the disk, and copy the file elsewhere",
    ),
    (
        r"not a database|encrypted|unsupported file format",
        "not a SQLite database, or an encrypted one",
        "name the file that the crawler records into; of an encrypted one, a decrypted copy",
    ),
    (
        r"unable to open",
        "SQLite cannot open it: no right to read it or its -wal, or to make its -shm",
        "let this user read the file and write to its folder",
    ),
    (r"no such (?:table|column)", "", "mend the view that names it"),
    (r"is full", "no space left", "free some disk space; nothing is lost: run it again"),
)
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip
_MAGIC: Final = b"SQLite format 3\x00"


@dataclass(frozen=True)
class Trouble:
    """Why a file cannot be read.

    Attributes:
        what: the reason in a few words.
        remedy: what to do about it, ``FILE`` being a file not known; nothing it says loses data.
    """

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}" if self.remedy else self.what


def _about(found: Trouble, path: str) -> Trouble:
    """Return the trouble with the name of the file in its remedy."""
    name = shlex.quote(shown(path))
    return Trouble(found.what, re.sub(r"\bFILE\b", lambda _: name, found.remedy))


def own_words(error: BaseException) -> str:
    """Return what SQLite itself says, without the query that DuckDB puts around it."""
    found = _AROUND.match(str(error))
    words = found[1] if found else ""
    return one_line(ValueError(words), 160) if words.strip() else one_line(error, 160)


def is_foreign(words: str) -> bool:
    """Tell whether all that is wrong is what only the file's own application knows: no damage.

    Example:
        ``no such collation sequence: LOCALIZED`` is, ``database disk image is malformed`` is not.
    """
    return _FOREIGN.search(words) is not None


def trouble(error: BaseException, path: str | None = None) -> Trouble:
    """Return why SQLite could not read a file.

    Args:
        error: DuckDB's or SQLite's.
        path: the file, which is looked at from outside for a closer reason.
    """
    words = own_words(error)
    if is_foreign(words):
        return Trouble(
            words, "only the program that wrote the file has it: ask it for a copy without"
        )
    for pattern, what, remedy in _MEANINGS:
        if re.search(pattern, words):
            closer = _closer(path) if "damaged" in what and path is not None else None
            found = closer or Trouble(what or words, remedy)
            break
    else:
        found = Trouble(words, "see what sqlite3 FILE 'pragma integrity_check' says")
    return found if path is None else _about(found, path)


def _closer(path: str) -> Trouble | None:
    """Return what makes a file look damaged, where that can be seen from outside."""
    with suppress(OSError):
        if os.path.exists(f"{path}-wal") and os.path.getsize(f"{path}-wal"):
            return Trouble(
                "damaged SQLite database, or the -wal beside it is another file's",
                "keep both, and look at copies: one with its -wal, and one without",
            )
        with Path(path).open("rb") as file:
            head = file.read(100)
        page = int.from_bytes(head[16:18], "big")
        due = int.from_bytes(head[28:32], "big") * (65_536 if page == 1 else page)
        size = os.path.getsize(path)
        if size < due and head[24:28] == head[92:96]:
            return Trouble(
                f"damaged SQLite database, cut short to {size:,} of {due:,} bytes",
                "copy it again from where it came from; what is left: "
                "sqlite3 FILE .recover | sqlite3 NEW",
            )
    return None


def refusal(path: str) -> Trouble | None:
    """Return why a file is not even worth opening; None if it is."""
    found = _refusal(path)
    return found and _about(found, path)


def _refusal(path: str) -> Trouble | None:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
            return Trouble(f"not a regular file but {kind}", "name the file itself")
        with Path(path).open("rb") as file:
            head = file.read(100)
    except (FileNotFoundError, NotADirectoryError):
        return Trouble("no such file", "correct --db, or wait until the crawler has made it")
    except PermissionError:
        return Trouble("Permission denied", "let this user read the file and enter its folder")
    except OSError as error:
        told = error.strerror or str(error)
        return Trouble(told, "look at the file, its folder and its disk: ls -l, df -h")
    if not head:
        remedy = "wait for the crawler's first rows; if it is a copy, copy it again"
        return Trouble("empty file", remedy)
    if path.endswith((".jsonl", ".jsonl.gz")) or head.lstrip().startswith(b"{"):
        remedy = "load it with docstokg-telemetry load-jsonl FILE --db telemetry.sqlite3"
        return Trouble("JSONL", remedy)
    if not head.startswith(_MAGIC):
        return Trouble("not a SQLite database", "name the file that the crawler records into")
    if head[56:60] in (b"\0\0\0\2", b"\0\0\0\3"):
        return Trouble("its text is UTF-16", "make a UTF-8 copy: sqlite3 FILE .dump | sqlite3 NEW")
    return None


def parted(reason: str) -> Trouble:
    """Take a reason apart that a `Trouble` was made into text of."""
    what, _, remedy = reason.partition(": ")
    return Trouble(what, remedy or "look at the file, its folder and its disk: ls -l, df -h")
