"""SQL statements: where each begins and ends, and what PostgreSQL's grammar says of it."""

from __future__ import annotations

import hashlib
import importlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import postgast

from mantis_runbook.errors import MigrationFileError

__all__ = [
    "Comment",
    "Source",
    "Statement",
    "nodes",
    "option",
    "outside_transaction",
    "parse_statements",
    "quoted",
    "read",
    "relation_name",
    "table_key",
    "tree",
]

#: Node and token types of the grammar.
grammar: Any = postgast.pg_query_pb2

# protobuf refuses trees deeper than 100 by default, which fifty concatenated strings reach.
_protobuf: Any = importlib.import_module("google.protobuf.internal.api_implementation")
if hasattr(getattr(_protobuf, "_c_module", None), "SetAllowOversizeProtos"):
    _protobuf._c_module.SetAllowOversizeProtos(True)

PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
COMMENTS = (grammar.SQL_COMMENT, grammar.C_COMMENT)


@dataclass(frozen=True)
class Statement:
    """One statement, without comments around it and without its semicolon; `kind` is its parse node
    ("CreateStmt").

    `index` is the name of the index that a CREATE INDEX builds, as SQL writes it; None for any
    other statement.
    """

    text: str
    kind: str
    line: int
    outside_transaction: bool
    sha256: str
    summary: str
    index: str | None = None


@dataclass(frozen=True)
class Comment:
    """A comment outside every string; `alone` when its line begins with it, `inside` when a
    statement surrounds it.
    """

    text: str
    line: int
    alone: bool
    inside: bool


@dataclass(frozen=True)
class Source:
    """What a text holds: statements and comments, both in order of their lines."""

    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...]


def parse_statements(text: str) -> tuple[Statement, ...]:
    """All statements of a text.

    Raises `MigrationFileError` at the first syntax error, with line and column.
    """
    return read(text).statements


@lru_cache(maxsize=128)
def read(text: str, name: str = "") -> Source:
    """Statements and comments of a text; `name` is what messages call it.

    The same text is read once.

    Raises `MigrationFileError` for a syntax error, a psql meta command, or a NUL (which would end
    the text for the parser, and leave out what follows).
    """
    where = name or "SQL"
    if "\x00" in text:
        raise MigrationFileError(
            f"{where}:{_line(text, text.index(chr(0)))}", found="a NUL character", expected="text",
            action="remove it: for PostgreSQL the text ends there",
        )  # fmt: skip
    raw = text.encode()
    tokens = list(_grammar(postgast.scan, text, where).tokens)
    _refuse_meta_commands(raw, tokens, where)
    parsed = list(_grammar(postgast.parse, text, where).stmts)
    places = [
        (token.start, token.end, token.token) for token in tokens if token.token not in COMMENTS
    ]
    spans = [_span(node, places, len(raw)) for node in parsed]
    return Source(
        tuple(_statement(raw, span, node.stmt) for span, node in zip(spans, parsed, strict=True)),
        tuple(_comment(raw, token, spans) for token in tokens if token.token in COMMENTS),
    )


@lru_cache(maxsize=2048)
def tree(text: str) -> Any:
    """The parse node of the one statement in `text`."""
    return _unwrap(postgast.parse(text).stmts[0].stmt)


def nodes(root: Any, *kinds: str) -> Iterator[Any]:
    """`root` and every node below it, outermost first and in the order of the text; only those of
    `kinds` if given.
    """
    stack = [root]
    while stack:
        node = stack.pop()
        if not kinds or node.DESCRIPTOR.name in kinds:
            yield node
        children = [
            _unwrap(child)
            for field, value in node.ListFields()
            if field.message_type
            for child in ([value] if hasattr(value, "DESCRIPTOR") else value)
        ]
        stack += reversed(children)


def relation_name(relation: Any) -> str:
    """A RangeVar as it is written in SQL: `reader`, `other.reader`, `"Odd Name"`."""
    return ".".join(quoted(part) for part in (relation.schemaname, relation.relname) if part)


def table_key(relation: Any) -> str:
    """What tables are told apart by: the name, with its schema unless that is public."""
    return relation_name(relation).removeprefix("public.")


def quoted(name: str) -> str:
    """An identifier, in double quotes where the grammar needs them."""
    return name if _is_plain(name) else '"' + name.replace('"', '""') + '"'


@lru_cache(maxsize=2048)
def _is_plain(name: str) -> bool:
    if not PLAIN.fullmatch(name):
        return False
    keyword = postgast.scan(name).tokens[0].keyword_kind
    return keyword in (grammar.NO_KEYWORD, grammar.UNRESERVED_KEYWORD)


def option(options: Any, name: str, *, default: bool = False) -> bool:
    """A boolean option of a statement: `(CONCURRENTLY)`, `(refresh = off)`.

    The last one of that name counts.
    """
    given = [one for one in map(_unwrap, options) if one.defname == name]
    if not given:
        return default
    if not given[-1].HasField("arg"):
        return True
    value = _unwrap(given[-1].arg)
    word = str(
        getattr(value, "sval", "") or getattr(value, "ival", "") or getattr(value, "boolval", "")
    )
    return word.lower() in {"true", "on", "1", "yes"}


def outside_transaction(statement: Any) -> bool:
    """Whether PostgreSQL refuses this statement inside a transaction block (SQLSTATE 25001).

    What only the catalogue can tell stays false: REINDEX TABLE and CLUSTER of a partitioned table.
    """
    rule = OUTSIDE.get(statement.DESCRIPTOR.name)
    return rule is not None and rule(statement)


def _reindex(node: Any) -> bool:
    whole = ("REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE")
    return option(node.params, "concurrently") or grammar.ReindexObjectType.Name(node.kind) in whole


def _detaches_concurrently(node: Any) -> bool:
    return any(command.concurrent for command in nodes(node, "PartitionCmd"))


def _alters_subscription(node: Any) -> bool:
    kind = grammar.AlterSubscriptionType.Name(node.kind)
    if kind == "ALTER_SUBSCRIPTION_REFRESH":
        return True
    return kind.endswith("_PUBLICATION") and option(node.options, "refresh", default=True)


def _creates_slot(node: Any) -> bool:
    return option(
        node.options, "create_slot", default=option(node.options, "connect", default=True)
    )


#: Statements that cannot run in a transaction block, and when. tests/test_migrations.py asks real
#: servers.
OUTSIDE: dict[str, Callable[[Any], bool]] = {
    "IndexStmt": lambda node: bool(node.concurrent),
    "DropStmt": lambda node: bool(node.concurrent),
    "ReindexStmt": _reindex,
    "AlterTableStmt": _detaches_concurrently,
    "ClusterStmt": lambda node: not node.HasField("relation"),
    "VacuumStmt": lambda node: bool(node.is_vacuumcmd),
    "AlterSystemStmt": lambda _: True,
    "CreatedbStmt": lambda _: True,
    "DropdbStmt": lambda _: True,
    "AlterDatabaseStmt": lambda node: any(
        _unwrap(one).defname == "tablespace" for one in node.options
    ),
    "CreateTableSpaceStmt": lambda _: True,
    "DropTableSpaceStmt": lambda _: True,
    "CreateSubscriptionStmt": _creates_slot,
    "AlterSubscriptionStmt": _alters_subscription,
    "DropSubscriptionStmt": lambda _: True,
    "DiscardStmt": lambda node: grammar.DiscardMode.Name(node.target) == "DISCARD_ALL",
}


def _unwrap(node: Any) -> Any:
    if node.DESCRIPTOR.name != "Node":
        return node
    inner = node.WhichOneof("node")
    return getattr(node, inner) if inner else node


def _grammar(parser: Callable[[str], Any], text: str, where: str) -> Any:
    try:
        return parser(text)
    except postgast.PgQueryError as error:
        raise _syntax_error(error, text, where) from None


def _syntax_error(error: postgast.PgQueryError, text: str, where: str) -> MigrationFileError:
    """libpg_query counts characters from 1 here (its binding's manual says bytes, wrongly; a test
    holds it to that).
    """
    position = min(max(error.cursorpos - 1, 0), len(text))
    start = text.rfind("\n", 0, position) + 1
    offending = text[start:].split("\n", 1)[0].strip()
    return MigrationFileError(
        f"{where}:{_line(text, position)}:{position - start + 1}",
        found=f"{error.message}, in: {offending}" if offending else error.message,
        expected="SQL of PostgreSQL, each statement ended by a semicolon",
        action="correct the statement",
    )


def _refuse_meta_commands(raw: bytes, tokens: list[Any], where: str) -> None:
    for token in tokens:
        if token.token == grammar.ASCII_92:
            rest = raw[token.start :].split(b"\n", 1)[0].decode().strip()
            line = raw.count(b"\n", 0, token.start) + 1
            raise MigrationFileError(
                f"{where}:{line}",
                found=f"the psql command {rest}",
                expected="SQL only: the server executes this file, not psql",
                action="put the SQL itself into the file",
            )


def _span(statement: Any, places: list[tuple[int, int, int]], size: int) -> tuple[int, int]:
    """First and last byte of a statement: the parser's location, less the comments around it.

    `places` are start, end and kind of all tokens but comments, in their order."""
    start = statement.stmt_location
    end = start + statement.stmt_len if statement.stmt_len else size
    first, last = bisect_left(places, (start,)), bisect_left(places, (end,)) - 1
    while not statement.stmt_len and places[last][2] == grammar.ASCII_59:
        last -= 1
    return places[first][0], places[last][1]


def _statement(raw: bytes, span: tuple[int, int], wrapped: Any) -> Statement:
    node = _unwrap(wrapped)
    text = raw[span[0] : span[1]].decode()
    return Statement(
        text=text,
        kind=node.DESCRIPTOR.name,
        line=raw.count(b"\n", 0, span[0]) + 1,
        outside_transaction=outside_transaction(node),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        summary=_summary(node, text),
        index=_index(node),
    )


def _index(node: Any) -> str | None:
    if node.DESCRIPTOR.name != "IndexStmt" or not node.idxname:
        return None
    return ".".join(quoted(part) for part in (node.relation.schemaname, node.idxname) if part)


def _comment(raw: bytes, token: Any, spans: list[tuple[int, int]]) -> Comment:
    line_start = raw.rfind(b"\n", 0, token.start) + 1
    return Comment(
        text=raw[token.start : token.end].decode().rstrip(),
        line=raw.count(b"\n", 0, token.start) + 1,
        alone=not raw[line_start : token.start].strip(),
        inside=_is_within(spans, token.start),
    )


def _is_within(spans: list[tuple[int, int]], position: int) -> bool:
    """Whether one of the spans, which are in order and do not overlap, has begun and not ended
    there.
    """
    before = bisect_left(spans, (position,)) - 1
    return before >= 0 and position < spans[before][1]


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _summary(node: Any, text: str) -> str:
    special = SUMMARIES.get(node.DESCRIPTOR.name)
    return special(node) if special else _beginning(text)


def _beginning(text: str, width: int = 72) -> str:
    """The statement up to what it is made of: its first parenthesis, string or body."""
    raw = text.encode()
    words: list[str] = []
    stops = {grammar.ASCII_40, grammar.SCONST, grammar.AS, grammar.USING, grammar.RETURNS}
    end = 0
    for token in postgast.scan(text).tokens:
        if token.token in COMMENTS:
            continue
        if token.token in stops and words:
            break
        word = raw[token.start : token.end].decode()
        glued = bool(words) and token.start == end
        words.append(word if glued or not words else " " + word)
        end = token.end
    line = "".join(words).removesuffix(" IS")  # of a comment
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def _summary_of_index(node: Any) -> str:
    unique = "UNIQUE " if node.unique else ""
    concurrently = "CONCURRENTLY " if node.concurrent else ""
    name = f"{quoted(node.idxname)} " if node.idxname else ""
    return f"CREATE {unique}INDEX {concurrently}{name}ON {relation_name(node.relation)}"


def _summary_of_trigger(node: Any) -> str:
    return f"CREATE TRIGGER {quoted(node.trigname)} ON {relation_name(node.relation)}"


SUMMARIES: dict[str, Callable[[Any], str]] = {
    "IndexStmt": _summary_of_index,
    "CreateTrigStmt": _summary_of_trigger,
    "CreateStmt": lambda node: f"CREATE TABLE {relation_name(node.relation)}",
    "CreateExtensionStmt": lambda node: f"CREATE EXTENSION {quoted(node.extname)}",
    "CreatePolicyStmt": lambda node: (
        f"CREATE POLICY {quoted(node.policy_name)} ON {relation_name(node.table)}"
    ),
    "InsertStmt": lambda node: f"INSERT INTO {relation_name(node.relation)}",
    "UpdateStmt": lambda node: f"UPDATE {relation_name(node.relation)}",
    "DeleteStmt": lambda node: " ".join(("DELETE FROM", relation_name(node.relation))),
    "DoStmt": lambda _: "DO block",
}
