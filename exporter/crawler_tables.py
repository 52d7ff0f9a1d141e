"""The tables of the crawler's own ``manifest.sqlite3``, told in the contract's columns.

The crawler keeps what it did in five tables of its own. Each is read as one of the contract's
tables: a column of the contract is an SQLite expression over the columns that the crawler's table
has. Nothing of a URL but its host, and nothing of a title or a path, is ever sent across.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.raw_schema import Kind

#: Which of a file's tables tell of a run, where several do: the lowest that has rows of the run.
TELEMETRY_FAMILY: Final = 0
CRAWLER_FAMILY: Final = 1
ATTEMPTS_FAMILY: Final = 2

_NAMED: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class CrawlerTable:
    """How one table of the crawler is read.

    Attributes:
        table: the contract's table that it becomes.
        family: what goes before it, where a run is in several tables of the same meaning.
        needed: columns without which a table of this name is not the crawler's.
        columns: by column of the contract, expressions in order of preference; ``{name}`` is a
            column of the crawler's table, and an expression is left out where one is missing.
        kinds: columns that are read as another kind than the contract's.
        where: condition on the rows that are read.
    """

    table: str
    family: int
    needed: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    where: str = ""


def _of_payload(key: str) -> str:
    return f"case when json_valid({{payload}}) then json_extract({{payload}}, '$.{key}') end"


#: A time in the payload, where it is one.
_TIME: Final = (
    "case when json_valid({payload}) then case json_type({payload}, '$.ts') "
    "when 'text' then case when json_extract({payload}, '$.ts') glob '[12][0-9][0-9][0-9]*' "
    "then json_extract({payload}, '$.ts') end "
    "when 'object' then null when 'array' then null when 'true' then null when 'false' then null "
    "else case when json_extract({payload}, '$.ts') >= 946684800 "
    "then json_extract({payload}, '$.ts') end end end"
)
#: The recorded host without path, query and user. A whole URL is left to the kind of the column.
_ENDED: Final = "replace(replace(replace({host}, char(92), '/'), '?', '/'), '#', '/') || '/'"
_BARE: Final = f"substr({{host}}, 1, instr({_ENDED}, '/') - 1)"
_HOST: Final = (
    "case when instr({host}, '://') then {host} "
    f"else substr({_BARE}, instr({_BARE}, '@') + 1) end"
)
#: The media type without parameters: one of them may be the name of a file.
_CONTENT_TYPE: Final = "substr({content_type}, 1, instr({content_type} || ';', ';') - 1)"
#: A reason is a word; text with a path in it is not kept.
_REASON: Final = (
    "case when instr({reason}, '/') or instr({reason}, char(92)) then '[text]' else {reason} end"
)

CRAWLER_TABLES: Final[Mapping[str, CrawlerTable]] = {
    "manifests": CrawlerTable(
        "downloads",
        CRAWLER_FAMILY,
        ("run_id", "work_id", "classification"),
        {
            "run_id": ("{run_id}",),
            "ts": ("{timestamp}",),
            "work_id": ("{work_id}",),
            "artifact_id": ("{work_id}",),
            "source": ("{resolver}",),
            "sha256": ("{sha256}",),
            "final_path": ("case when length({path}) > 0 then 'present' end",),
            "content_type": (_CONTENT_TYPE,),
            "content_length": ("{content_length}",),
            "classification": ("{classification}",),
            "reason": (_REASON,),
            "dry_run": ("{dry_run}",),
        },
    ),
    "fallback_events": CrawlerTable(
        "fallback_attempts",
        CRAWLER_FAMILY,
        ("run_id", "outcome"),
        {
            "run_id": ("{run_id}",),
            "ts": (_TIME, "{timestamp}"),
            "work_id": ("{work_id}",),
            "artifact_id": ("{artifact_id}",),
            "tier": ("{tier}",),
            "source": ("{source}",),
            "host": (_HOST,),
            "outcome": ("{outcome}",),
            "reason": (_REASON,),
            "status": ("{status}",),
            "elapsed_ms": ("{elapsed_ms}",),
        },
        # The crawler also writes a row about all tries of a work together.
        where="lower({outcome}) is not 'summary'",
    ),
    "attempts": CrawlerTable(
        "fallback_attempts",
        ATTEMPTS_FAMILY,
        ("run_id", "resolver_name", "status"),
        {
            "run_id": ("{run_id}",),
            "ts": ("{timestamp}",),
            "work_id": ("{work_id}",),
            "source": ("{resolver_name}",),
            "host": ("nullif({url}, '')",),
            "outcome": ("{status}",),
            "reason": (_REASON,),
            "status": ("{http_status}",),
            "elapsed_ms": ("{elapsed_ms}",),
        },
        kinds={"host": "url"},
    ),
    "breaker_events": CrawlerTable(
        "breaker_transitions",
        CRAWLER_FAMILY,
        ("run_id", "event_type", "payload"),
        {
            "run_id": ("{run_id}",),
            "ts": (_TIME, "{timestamp}"),
            "host": (f"nullif({_HOST}, '')", "{resolver}"),
            "scope": ("{scope}",),
            "old_state": (_of_payload("old"),),
            "new_state": (_of_payload("new"),),
            "reset_timeout_s": (_of_payload("reset_timeout_s"),),
        },
        where="lower({event_type}) in ('state_change', 'breaker_state_change')",
    ),
    "summaries": CrawlerTable(
        "run_summary",
        CRAWLER_FAMILY,
        ("run_id", "payload"),
        {
            "run_id": ("{run_id}",),
            "finished_at": ("{timestamp}",),
            "artifacts_total": (_of_payload("processed"),),
            "artifacts_success": (_of_payload("saved"),),
        },
    ),
}


def expressions(read: CrawlerTable, spelled: Mapping[str, str]) -> dict[str, str]:
    """Return by column of the contract the SQLite expression that gives it.

    Args:
        read: the table of the crawler.
        spelled: the columns that the file's table has, lower-cased name to name as spelled.
    """
    found = {}
    for column, choices in read.columns.items():
        there = [filled(c, spelled) for c in choices if set(_NAMED.findall(c)) <= set(spelled)]
        if there:
            found[column] = f"coalesce({', '.join(there)})" if len(there) > 1 else f"({there[0]})"
    return found


def own_columns(read: CrawlerTable, column: str) -> list[str]:
    """Return the columns of the crawler's table that a column of the contract is read from."""
    told = (_NAMED.findall(choice) for choice in read.columns.get(column, ()))
    return list(dict.fromkeys(name for names in told for name in names))


def filled(expression: str, spelled: Mapping[str, str]) -> str:
    """Return an expression with the names of columns as the file spells them."""
    return _NAMED.sub(lambda name: spelled[name[1]], expression)
