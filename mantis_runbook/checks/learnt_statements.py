"""The application's own statements, as pg_stat_statements recorded them in this database."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import postgast
import psycopg
from psycopg import sql

from mantis_runbook import settings
from mantis_runbook.errors import MigrationFileError
from mantis_runbook.postgres import statements as grammar
from mantis_runbook.postgres.connection import SCHEMA, Connection, message_of, query, rows

__all__ = ["MARK", "MOST", "Learnt", "LearntStatement", "statements"]

#: As many statements are learnt unless another number is asked for.
MOST = 50

#: Ends what we play of learnt statements, as the application's roles: what was learnt is not learnt
#: again from ourselves.
MARK = "/* mantis-runbook */"

#: What the extension shows instead of a text to a role that may not read it.
HIDDEN = "<insufficient privilege>"

#: What the application does with rows; every other kind is a utility statement.
ROWS = ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")

#: Schemas that hold no table of an application.
SYSTEM = ("pg_catalog", "information_schema", "pg_toast")

#: Tables of the runbook's own that may lie in the application's schema.
LEDGER = ("schema_migrations", "migration_backups")

#: A character of UTF-8 may lie across the place where a text is cut.
WIDEST_CHARACTER = 4

#: Folders of statements that we send as a role of the application.
AS_TENANTS = ("workload", "tenants", "compatibility", "probe")

PLACEHOLDER = re.compile(r"%\(\w+\)s|%s|\{\}")


@dataclass(frozen=True)
class LearntStatement:
    """A statement, its constants replaced by `$1`, `$2`, …; `role` is the one it ran as."""

    query_id: int
    text: str
    calls: int
    role: str

    @property
    def kind(self) -> str:
        """Its parse node: "SelectStmt", "UpdateStmt" …"""
        return str(grammar.tree(self.text).DESCRIPTOR.name)

    @property
    def only_reads(self) -> bool:
        """Whether it neither writes nor locks rows; what functions do is not seen here."""
        changes = grammar.nodes(grammar.tree(self.text), *ROWS[1:], "LockingClause")
        return not any(True for _ in changes)


@dataclass(frozen=True)
class Learnt:
    """The most frequent first. `left_out` counts by reason what was recorded beside them;
    `unavailable` says why nothing could be learnt at all, and is empty where something could.
    """

    statements: tuple[LearntStatement, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    unavailable: str = ""

    def __str__(self) -> str:
        if self.unavailable:
            return f"no statement learnt: {self.unavailable}"
        beside = "; ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        summary = f"{len(self.statements)} statements learnt from pg_stat_statements"
        return f"{summary}, left out: {beside}" if beside else summary


def statements(connection: Connection, most: int = MOST) -> Learnt:
    """The `most` frequent statements that clients sent to this database, as roles other than this
    session's.

    Left out, and counted by reason, are utility statements, texts that were cut or that
    PostgreSQL's grammar does not read, what touches no table or function of the application, and
    whatever is the runbook's own. A database without the extension, or a role that may not read it,
    is no error: `Learnt.unavailable` says so.
    """
    extension = rows(connection, query("learnt/extension"))
    if not extension:
        return Learnt(
            unavailable="the extension pg_stat_statements is not created in this database"
        )
    if not extension[0]["is_loaded"]:
        return Learnt(unavailable="pg_stat_statements is not in shared_preload_libraries")
    try:
        with connection.transaction():
            recorded = rows(
                connection,
                sql.SQL(query("learnt/recorded")).format(sql.SQL(extension[0]["schema"])),
            )
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.ObjectNotInPrerequisiteState,
    ) as error:
        return Learnt(unavailable=f"pg_stat_statements cannot be read: {message_of(error)}")
    functions = rows(connection, query("learnt/functions"))
    own = frozenset(row["name"] for row in functions if row["is_own"])
    risky = frozenset(row["name"] for row in functions if not row["is_own"]) - own
    kept, left_out = list[LearntStatement](), Counter[str]()
    for row in recorded:
        if reason := _unfit(row, extension[0]["longest"], own, risky):
            left_out[reason] += 1
        elif len(kept) == most:
            left_out[f"less frequent than these {most}"] += 1
        else:
            kept.append(LearntStatement(row["query_id"], row["text"], row["calls"], row["role"]))
    return Learnt(tuple(kept), dict(left_out.most_common()))


def _unfit(row: Mapping[str, Any], longest: int, own: frozenset[str], risky: frozenset[str]) -> str:
    """Why a recorded statement is not the application's; empty when it is. Cheap tests first."""
    text = row["text"]
    reasons: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: not row["is_here"], "of other databases"),
        (lambda: row["is_ours"], "of the role that the runbook itself works as"),
        (
            lambda: text == HIDDEN,
            "of roles whose statements this role may not read (GRANT pg_read_all_stats)",
        ),
        (lambda: not row["is_sent"], "executed inside functions"),
        (lambda: not row["role"], "of roles that were dropped"),
        (lambda: _is_cut(text, longest), "cut at track_activity_query_size"),
        (lambda: not _parses(text), "that PostgreSQL's grammar does not read"),
        (lambda: not _is_of_rows(grammar.tree(text)), "utility statements"),
        (
            lambda: _shows_constants(grammar.tree(text)),
            "whose constants were not replaced (they may be personal data)",
        ),
        (lambda: _is_of_the_runbook(text), "of the runbook itself"),
        (
            lambda: not _called(text).isdisjoint(risky),
            "that call functions of the server which do more than read",
        ),
        (lambda: not _is_of_the_application(text, own), "that touch no table of the application"),
    )
    return next((reason for is_so, reason in reasons if is_so()), "")


def _is_cut(text: str, longest: int) -> bool:
    """A text of just the greatest length: even if it parses, its end may be missing."""
    return longest - WIDEST_CHARACTER <= len(
        text.encode()
    ) < longest and not text.rstrip().endswith(";")


def _parses(text: str) -> bool:
    """Whether it is one statement."""
    try:
        return len(grammar.parse_statements(text)) == 1
    except MigrationFileError:
        return False


def _is_of_rows(root: Any) -> bool:
    """SELECT INTO makes a table."""
    return root.DESCRIPTOR.name in ROWS and not any(True for _ in grammar.nodes(root, "IntoClause"))


def _shows_constants(root: Any) -> bool:
    """The extension keeps a text as it was sent when its entry was thrown out while the statement
    ran.
    """
    return any(one.WhichOneof("val") == "sval" for one in grammar.nodes(root, "A_Const"))


def _is_of_the_runbook(text: str) -> bool:
    """It names our schema or our ledger, or is a statement of our files: the load and the proofs
    act as the tenants' role, so their statements are recorded under it.
    """
    if MARK in text:
        return True
    root = grammar.tree(text)
    relations = list(grammar.nodes(root, "RangeVar"))
    called = [
        [part.string.sval for part in call.funcname] for call in grammar.nodes(root, "FuncCall")
    ]
    return (
        any(one.schemaname == SCHEMA or one.relname in LEDGER for one in relations)
        or any(name[0] == SCHEMA for name in called)
        or postgast.fingerprint(text).hex in _ours()
    )


def _called(text: str) -> frozenset[str]:
    """Names of the functions that it calls, without their schemas."""
    return frozenset(
        one.funcname[-1].string.sval for one in grammar.nodes(grammar.tree(text), "FuncCall")
    )


def _is_of_the_application(text: str, functions: frozenset[str]) -> bool:
    root = grammar.tree(text)
    named = {one.ctename for one in grammar.nodes(root, "CommonTableExpr")}
    tables = (
        relation
        for relation in grammar.nodes(root, "RangeVar")
        if relation.schemaname not in SYSTEM
        and (
            relation.schemaname
            or not (relation.relname in named or relation.relname.startswith("pg_"))
        )
    )
    return any(True for _ in tables) or not _called(text).isdisjoint(functions)


@lru_cache(maxsize=1)
def _ours() -> frozenset[str]:
    """Fingerprints of our statements as tenants; constants and parameters count alike."""
    homes = {settings.sql(), settings.own_sql()}
    files = (
        path for home in homes for folder in AS_TENANTS for path in (home / folder).rglob("*.sql")
    )
    return frozenset(
        postgast.fingerprint(text).hex for path in files for text in _texts(path.read_text())
    )


def _texts(script: str) -> list[str]:
    """A file's statements, each parsable by itself: variables become parameters."""
    plain = re.sub(r"(?m)^\\.*$", "", PLACEHOLDER.sub("$1", script))
    plain = re.sub(r"(?<![:\w]):([A-Za-z_]\w*)", "$1", plain).replace("%%", "%")
    try:
        return list(postgast.split(plain))
    except postgast.PgQueryError:
        return []
