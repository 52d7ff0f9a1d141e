"""SQL that presents one table of one attached SQLite file as its raw relation.

Two readers give the same rows:

- *careful*, through ``sqlite_query``: SQLite filters by id (its index works) and sends every
  value with its storage class, so that no value can stop the read. For refreshes and dirty files.
- *typed*, a scan of the attached table: parallel and three times as fast, but one value of
  another type than its column's ends it. For first loads, with careful as the fallback.

Identifiers in the SQL come from the contract (a file's own names are compared with it first),
and paths and values are quoted by DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from exporter.raw_schema import TABLES, UPSERTED, URL_IN, Kind, value_columns

#: What DuckDB's client raises; the second, when a message repeats bytes that are not UTF-8.
ENGINE_ERRORS = (duckdb.Error, UnicodeDecodeError)

#: scheme://… also as JSON escapes it (scheme:\/\/…)
_URL = r"[A-Za-z][A-Za-z0-9+.-]+:(\\?/){2}[^\s\"'<>]*"

#: The host of a URL, without user and port; an IPv6 address keeps its brackets. Whatever cannot be
#: part of a host's name ends it, and a user may hold an @.
_HOST = (
    r"^\s*[A-Za-z][A-Za-z0-9+.-]+://(?:[^/?#\\\s]*@)?"
    r"(\[[0-9A-Fa-f:.]+\]|[^\x00-\x2c\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]+)"
)

#: The type of a column that DuckDB's scan does not see: SQLite computes it.
COMPUTED = "computed"

#: Kinds whose values are numbers, and those of them that are whole.
_NUMBERS = ("integer", "flag", "double", "time")
_WHOLE = ("integer", "flag")


@dataclass(frozen=True)
class TableShape:
    """What a file's own table looks like.

    Attributes:
        name: the table's name as the file spells it.
        columns: lower-cased name to (name as spelled, or an expression in SQLite's SQL; type as
            DuckDB attaches it, lower-cased, or COMPUTED).
        keys: names of the columns of the primary key, lower-cased.
        id_is_rowid: the id is SQLite's INTEGER PRIMARY KEY, so unique and in commit order.
        has_rowid: false for views and WITHOUT ROWID tables.
        kinds: columns that are read as another kind than the contract's.
        where: a condition on its rows, in SQLite's SQL; others are not telemetry.
        is_private: its texts may hold titles and paths: values that do not fit are not shown.
    """

    name: str
    columns: dict[str, tuple[str, str]]
    keys: tuple[str, ...]
    id_is_rowid: bool
    has_rowid: bool
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    where: str = ""
    is_private: bool = False

    @property
    def id_name(self) -> str:
        """Return the id column's name as the file spells it."""
        return self.columns["id"][0]


def literal(value: str) -> str:
    """Quote a value as a SQL literal, by DuckDB's own rules."""
    return str(duckdb.ConstantExpression(value))


def typed_reader_fits(table: str, shape: TableShape) -> bool:
    """Tell whether every column's declared type is one the typed reader can scan."""
    if not shape.id_is_rowid:
        return False
    for column, kind in TABLES[table].items():
        if column in shape.columns:
            wanted = ("bigint", "double") if kind in _NUMBERS else ("varchar",)
            if shape.columns[column][1] not in wanted:
                return False
    return "timestamp" not in shape.columns


def identifier(name: str) -> str:
    """Quote a name of a file's own, by SQL's rules."""
    return '"' + name.replace('"', '""') + '"'


def unknown_columns(table: str, shape: TableShape) -> list[str]:
    """Return the columns of a file's table that no raw column is read from, in lower case."""
    read = {
        name
        for column, kind in TABLES[table].items()
        for name, _ in _file_columns(column, kind, shape)
    }
    return [column for column in shape.columns if column not in read and column != "id"]


def careful_sql(
    table: str, shape: TableShape, alias: str, where: str = "", extra: Sequence[str] = ()
) -> str:
    """Return a select of the raw columns (without file_id and load_id) that no value can stop.

    Args:
        table: the contract's name of the table.
        shape: what the file's own table looks like.
        alias: the DuckDB alias of the attached file.
        where: an optional SQLite condition over ``id`` and the table's columns.
        extra: columns to add as one more, ``extra``: a JSON object of their texts.
    """
    outer, sent = [], []
    for column, kind, names in _read_columns(table, shape):
        sent += [f"{_send(name, kind)} as t_{alias_}" for alias_, name in names]
        outer.append((column, kind, [f"t_{alias_}" for alias_, _ in names]))
    for number, column in enumerate(extra):
        sent.append(f"{_send(identifier(shape.columns[column][0]), 'text')} as u_{number}")
    columns = ", ".join([_id_columns(table, shape), *(sent or ["null as t_none"])])
    if shape.id_is_rowid:
        inner = f"select {columns} from {shape.name}{_where(shape.where, where)}"
    else:  # an id is worked out first, from all rows
        inner = f"select {columns} from {shape.name}{_where(shape.where)}"
        inner = f"select * from ({inner}){_where(where)}" if where else inner
    return _assemble(
        outer,
        f"sqlite_query({literal(alias)}, {literal(inner)})",
        _received,
        extra=extra,
        hides=shape.is_private,
    )


def lean_sql(table: str, shape: TableShape, alias: str, where: str, wanted: Collection[str]) -> str:
    """Return a select of a few raw columns, the others NULL, at a third of careful's cost.

    Values come as they are, so that a text or time that is a blob, or not UTF-8, ends the read.
    What else did not fit is kept where ``misfits`` is wanted. For answers that are thrown away
    after they are shown.
    """
    outer, sent = [], []
    for column, kind, names in _read_columns(table, shape, wanted):
        # a blob in a column of numbers is kept as what does not fit; any other ends the read
        kept = "'x' || char(39) || hex({}) || char(39)"
        blob = kept if kind in _NUMBERS and kind != "time" else "cast(x'ff' as text)"
        sent += [
            f"case typeof({name}) when 'real' then printf('%!.17g', {name}) "
            f"when 'blob' then {blob.format(name)} else {name} end as t_{alias_}"
            for alias_, name in names
        ]
        outer.append((column, kind, [f"t_{alias_}" for alias_, _ in names]))
    columns = ", ".join([_id_columns(table, shape), *sent])
    inner = f"select {columns} from {shape.name}{_where(shape.where, where)}"
    source = f"sqlite_query({literal(alias)}, {literal(inner)})"
    return _assemble(outer, source, _plain, "misfits" in wanted)


def typed_sql(
    table: str, shape: TableShape, alias: str, wanted: Collection[str] | None = None
) -> str:
    """Return a select of the raw columns (without file_id and load_id) by a parallel scan.

    Args:
        table: the contract's name of the table.
        shape: what the file's own table looks like.
        alias: the DuckDB alias of the attached file.
        wanted: the columns to read, the others being NULL; None for all.
    """
    outer, columns = [], [f"{shape.id_name} as id", "null::varchar as defect"]
    for column, kind, names in _read_columns(table, shape, wanted):
        columns += [f"{name} as t_{alias_}" for alias_, name in names]
        outer.append((column, kind, [f"t_{alias_}" for alias_, _ in names]))
    source = f"(select {', '.join(columns)} from {alias}.{shape.name})"
    return _assemble(outer, source, _scanned, wanted is None or "misfits" in wanted)


def _is_wanted(column: str, wanted: Collection[str] | None) -> bool:
    return wanted is None or column in wanted or f"{column}_text" in wanted


def empty_sql(table: str) -> str:
    """Return a select of the raw columns with no rows, for a table that a file does not have."""
    outer: list[tuple[str, Kind, list[str]]] = [(c, k, []) for c, k in TABLES[table].items()]
    source = "(select null::bigint as id, null::varchar as defect where false)"
    return _assemble(outer, source, _received)


def _where(*conditions: str) -> str:
    """Return a WHERE clause of the conditions that are not empty; nothing where all are."""
    given = [f"({condition})" for condition in conditions if condition]
    return f" where {' and '.join(given)}" if given else ""


def _read_columns(
    table: str, shape: TableShape, wanted: Collection[str] | None = None
) -> Iterator[tuple[str, Kind, list[tuple[str, str]]]]:
    """Yield each column of the contract, its kind, and what of the file it is read from."""
    for column, kind in TABLES[table].items():
        kind = shape.kinds.get(column, kind)
        yield (
            column,
            kind,
            _file_columns(column, kind, shape) if _is_wanted(column, wanted) else [],
        )


def _file_columns(column: str, kind: Kind, shape: TableShape) -> list[tuple[str, str]]:
    names = [column, "timestamp"] if column == "ts" and kind == "time" else [column]
    return [(name, shape.columns[name][0]) for name in names if name in shape.columns]


def _id_columns(table: str, shape: TableShape) -> str:
    """Select the id, and what is wrong with the row where nothing keeps rows of a run apart.

    A row without a whole number as id gets its position, negated so that it is no other row's.
    """
    if shape.id_is_rowid:
        return f"{shape.id_name} as id, null as defect"
    position = "rowid" if shape.has_rowid else "row_number() over ()"
    if "id" in shape.columns:
        name = shape.id_name
        return (
            f"case when typeof({name}) = 'integer' then {name} else -({position}) end as id, "
            "null as defect"
        )
    names = UPSERTED.get(table)
    if names is None or (shape.keys and shape.keys in (("run_id",), names)):
        return f"{position} as id, null as defect"
    # the row written last is the run's; one without a run is rejected for that
    run = shape.columns["run_id"][0] if "run_id" in shape.columns else "null"
    within = "".join(f", {shape.columns[n][0]} collate binary" for n in names if n in shape.columns)
    order = "order by rowid desc" if shape.has_rowid else ""
    return (
        f"{position} as id, case when {run} is not null and row_number() over "
        f"(partition by {run} collate binary{within} {order}) > 1 "
        f"then '{' and '.join(['run_id', *names])} is not unique' end as defect"
    )


def _send(name: str, kind: Kind) -> str:
    """Return SQLite's side of a value's way: its storage class and all its bits, as ASCII."""
    real = f"printf('%!.17g', {name})"  # plain text conversion keeps 15 digits only
    if kind in _NUMBERS:
        return (
            f"case typeof({name}) when 'integer' then {name} when 'real' then {real} "
            f"when 'text' then 't' || hex({name}) when 'blob' then 'b' || hex({name}) end"
        )
    return (
        f"case typeof({name}) when 'text' then hex({name}) when 'blob' then 'b' || hex({name}) "
        f"when 'real' then 'n' || {real} when 'integer' then 'n' || {name} end"
    )


def _received(column: str, kind: Kind) -> tuple[str, str, str]:
    """Return (number, text, as recorded) of a value sent by `_send`; `column` is its name."""
    decoded = f"try(decode(unhex({column}[2:])))"
    if kind in _NUMBERS:
        number = (
            f"case when {column}[1] = 't' then {_or_word(kind, _number(kind, decoded), decoded)} "
            f"when {column}[1] <> 'b' then {_sent_number(kind, column)} end"
        )
        text = f"case when {column}[1] = 't' then {decoded} end"
        shown = (
            f"case when {column}[1] in ('t', 'b') then "
            f"coalesce({text}, 'x''' || {column}[2:] || '''') else {column} end"
        )
        return number, text, shown
    text = (
        f"case when {column}[1] = 'n' then {column}[2:] when {column}[1] <> 'b' or {column} = '' "
        f"then try(decode(unhex({column}))) end"
    )
    if kind == "url":
        return "null::double", text, "'[url]'"
    shown = f"coalesce({text}, 'x''' || ltrim({column}, 'b') || '''')"
    return "null::double", text, shown


def _scanned(column: str, kind: Kind) -> tuple[str, str, str]:
    """Return (number, text, as recorded) of a scanned value; text may still be invalid UTF-8."""
    if kind in _WHOLE:
        return f"try_cast(round({column}) as bigint)", "null::varchar", f"{column}::varchar"
    if kind in ("double", "time"):
        # as SQLite writes it, so that both readers keep the same of a misfit
        shown = f"replace({column}::varchar, 'inf', 'Inf')"
        return f"{column}::double", "null::varchar", shown
    return "null::double", f"try(decode(encode({column})))", f"'x''' || hex({column}) || ''''"


def _plain(column: str, kind: Kind) -> tuple[str, str, str]:
    """Return (number, text, as recorded) of a value sent as plain text."""
    if kind in _NUMBERS:
        return _or_word(kind, _sent_number(kind, column), column), column, column
    return "null::double", column, column


def _sent_number(kind: Kind, text: str) -> str:
    """Read a number that SQLite wrote; the digits of a REAL are a little off its value."""
    if kind in _WHOLE:
        return (
            f"case when contains({text}, '.') or contains({text}, 'e') "
            f"then try_cast(round(try_cast({text} as double)) as bigint) "
            f"else {_number(kind, text)} end"
        )
    return _number(kind, text)


def _or_word(kind: Kind, number: str, text: str) -> str:
    """Read a flag's word where the text is no number; few flags are text, so that comes second."""
    if kind != "flag":
        return number
    return (
        f"coalesce({number}, case "
        f"when regexp_full_match({text}, '(?i)[\\s\\v]*(true|yes|t)[\\s\\v]*') then 1 "
        f"when regexp_full_match({text}, '(?i)[\\s\\v]*(false|no|f)[\\s\\v]*') then 0 end)"
    )


def _number(kind: Kind, text: str) -> str:
    """Read text as a number; whole ones exactly, where a double would round large ones."""
    if kind in _WHOLE:
        return f"case when isfinite(try_cast({text} as double)) then try_cast({text} as bigint) end"
    return f"try_cast({text} as double)"


def _assemble(
    columns: list[tuple[str, Kind, list[str]]],
    source: str,
    read: Callable[[str, Kind], tuple[str, str, str]],
    keep_misfits: bool = True,
    extra: Sequence[str] = (),
    hides: bool = False,
) -> str:
    """Write the select: values are decoded once, below, and judged and named above."""
    decoded: list[str] = ["id", "defect"]
    values: list[str] = []
    misfits: list[str] = []
    for column, kind, sent in columns:
        shown: dict[str, str] = {}
        for name in sent:
            number, text, shown[name] = read(name, kind)
            decoded += [name, f"{number} as n_{name}", f"{text} as x_{name}"]
        numbers = [f"n_{name}" if kind in _WHOLE else _finite(f"n_{name}") for name in sent]
        number = f"coalesce({', '.join([*numbers, 'null'])})"
        texts = f"coalesce({', '.join(f'x_{name}' for name in sent)}, null::varchar)"
        if not sent:
            values += [f"null::{type_} as {name}" for name, type_ in value_columns(column, kind)]
            continue
        if kind == "time":
            values += [
                f"{number} as {column}",
                f"case when {number} is null then {_no_url(texts)} end as {column}_text",
            ]
            missing = f"{column} is null and {column}_text is null"
        else:
            values.append(f"{_value(kind, number, texts)} as {column}")
            missing = f"{column} is null"
        misfits += [
            f"case when {name} is not null and {missing} then {{'column': {literal(column)}, "
            f"'value': {literal('[hidden]') if hides else _no_url(shown[name])}}} end"
            for name in sent
            if kind != "url"  # what is no URL has no host, which is nothing to correct
        ]
    listed = "null::varchar"
    if keep_misfits and misfits:
        any_misfit = " or ".join(m.split(" then ")[0].removeprefix("case when ") for m in misfits)
        found = f"list_filter([{', '.join(misfits)}], misfit -> misfit is not null)"
        listed = f"case when {any_misfit} then to_json({found})::varchar end"
    added = ""
    if extra:
        decoded += [f"u_{number}" for number in range(len(extra))]
        added = f", {_as_object(extra)} as extra"
    return (
        f"select try_cast(id as bigint) as id, {', '.join(values)}, {listed} as misfits, "
        f"defect::varchar as defect{added} from (select {', '.join(decoded)} from {source})"
    )


def _as_object(names: Sequence[str]) -> str:
    """Return a JSON object of the values sent as u_0, u_1, …; NULL where all of them are."""
    entries = ", ".join(
        f"{{'key': {literal(name)}, 'value': {_no_url(_received(f'u_{number}', 'text')[2])}}}"
        for number, name in enumerate(names)
    )
    found = f"list_filter([{entries}], entry -> entry.value is not null)"
    some = ", ".join(f"u_{number}" for number in range(len(names)))
    return (
        f"case when coalesce({some}) is not null "
        f"then to_json(map_from_entries({found}))::varchar end"
    )


def _finite(number: str) -> str:
    return f"case when isfinite({number}) then {number} end"


def _value(kind: Kind, number: str, text: str) -> str:
    if kind == "double":
        return number
    if kind in _WHOLE:
        return f"try_cast(round({number}) as bigint)"
    if kind == "hash":
        return _if_url(text, "null")
    if kind == "url":
        return f"nullif(regexp_extract({text}, {literal(_HOST)}, 1), '')"
    if kind == "key":  # a NUL ends a text half-way in many programs
        text = f"replace({text}, chr(0), '\ufffd')"
        return _if_url(text, f"'url-sha256:' || sha256({text})")
    return _no_url(text)


def _no_url(text: str) -> str:
    return _if_url(text, f"regexp_replace({text}, {literal(_URL)}, '[url]', 'g')")


def _if_url(text: str, instead: str) -> str:
    """Return the text, or something else where it holds a URL; most texts hold no colon."""
    has_url = f"regexp_matches({text}, {literal(URL_IN)})"
    return (
        f"case when contains({text}, ':') then case when {has_url} then {instead} "
        f"else {text} end else {text} end"
    )
