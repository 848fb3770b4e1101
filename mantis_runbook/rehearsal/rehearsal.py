"""The rehearsal: a phase carried out on the restored backup, rolled back, and carried out again."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mantis_runbook import application
from mantis_runbook.backup import fingerprint
from mantis_runbook.backup.comparison import Comparison, Verdict, compare
from mantis_runbook.backup.fingerprint import Fingerprint
from mantis_runbook.backup.hashed_table import RowType
from mantis_runbook.checks import validations
from mantis_runbook.checks.validations import Suite
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.engine.results import Applied, Watcher
from mantis_runbook.engine.step_journal import StepJournal
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.catalog import Catalog, Difference
from mantis_runbook.postgres.connection import Connection, connect, scalar
from mantis_runbook.postgres.statements import quoted
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.lock_recorder import Recorder
from mantis_runbook.rehearsal.lock_verdict import Judged, judge
from mantis_runbook.settings import Environment

__all__ = ["LEDGER_TABLES", "Rehearsal", "rehearse", "set_apart"]

#: Written by the runbook itself while it works, so no part of what must not change.
LEDGER_TABLES = ("public.schema_migrations", "public.migration_backups")

NAME = re.compile(r'"(?:[^"]|"")+"|[\w$]+')


@dataclass(frozen=True)
class Rehearsal:
    """What happened on the copy. `content` compares the old columns before and after; `left_behind`
    the catalogue before and after the rollback. `side_effects` are tables that grew though no
    migration names them.
    """

    applied: tuple[Applied, ...]
    suite: Suite
    content: Comparison
    rolled_back: tuple[Applied, ...]
    left_behind: Difference
    again: tuple[Applied, ...]
    locks: tuple[Judged, ...] = ()
    touched: tuple[str, ...] = ()
    side_effects: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """What keeps the phase from going on; empty when all went as it must."""
        problems = self.suite.problems
        if not self.content.is_equal:
            problems.append(f"old columns changed: {self.content.message}")
        if not self.left_behind.is_empty:
            problems.append(f"the rollback leaves a difference: {self.left_behind}")
        red = [one for one in self.locks if one.verdict == "fail"]
        problems += [f"{one.locks.statement} on {one.locks.table}: {one.reason}" for one in red]
        return problems


def rehearse(
    scratch: Target,
    migrations: Sequence[Migration],
    before: Fingerprint,
    environment: Environment,
    *,
    run: str,
    who: str,
    watch: Watcher = lambda event, **facts: None,
) -> Rehearsal:
    """Apply, validate, compare, roll back, compare, apply again: all on the copy in `scratch`.

    Validated is as on the target, and with the tests of what is completed there: a migration may
    break what an earlier one promised. The comparison comes after them, so that a test which leaves
    something is seen as well. A migration that is completed there is left out; one that was half
    applied when the backup was taken is finished, and its rollback compared with the catalogue from
    before it. Raises what the engine raises when a step fails there: better there than on the
    target.
    """
    with (
        hold(scratch, run, who) as fence,
        connect(scratch, "rehearsal", lock_timeout="0") as connection,
        Recorder(scratch) as recorder,
    ):
        engine = Engine(scratch, environment, run, who, fence, watch, observe=recorder.observe)
        completed = Ledger(connection).completed()
        pending = [one for one in migrations if one.version not in completed]
        start = _start(connection, pending)
        row_types = fingerprint.row_types(connection)
        expected = _expected(connection, before, start, row_types)
        mark = _next_transaction(connection)
        applied = tuple(engine.up(one) for one in pending)
        suite = validations.validate_suite(connection, migrations, earlier=completed)
        content, side_effects = _compared(connection, expected, row_types, mark, _words(pending))
        rolled_back = tuple(engine.rollback(one) for one in reversed(pending))
        left_behind = catalog.left_behind(
            start, catalog.snapshot(connection), Ledger(connection).added_labels()
        )
        again = tuple(engine.up(one) for one in pending)
    return Rehearsal(
        applied=applied,
        suite=suite,
        content=content,
        rolled_back=rolled_back,
        left_behind=left_behind,
        again=again,
        locks=tuple(judge(locks, environment) for locks in recorder.locks),
        touched=recorder.touched,
        side_effects=side_effects,
    )


def _compared(
    connection: Connection,
    before: Fingerprint,
    row_types: Mapping[str, Mapping[str, RowType]],
    mark: int,
    words: Collection[str],
) -> tuple[Comparison, tuple[str, ...]]:
    """The old columns against those of before, and the tables that grew by a side effect."""
    now = fingerprint.take(connection, columns=before.columns, row_types=row_types)
    grown = _grown(connection, before, now, row_types, mark)
    return set_apart(compare(before, now), grown, words, application.load().audit_trail)


def _next_transaction(connection: Connection) -> int:
    """The number of the next transaction, as `xmin` of the rows it writes will show it."""
    return int(
        scalar(
            connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric % 4294967296"
        )
    )


def _grown(
    connection: Connection,
    before: Fingerprint,
    now: Fingerprint,
    row_types: Mapping[str, Mapping[str, RowType]],
    mark: int,
) -> Fingerprint:
    """Tables with more rows than before, fingerprinted again without the rows since the mark.

    Nobody else writes on the copy: what is left are the rows of before, if nobody changed or
    rewrote them.
    """
    columns = {
        name: table.columns
        for name, table in before.tables.items()
        if name in now.tables and now.tables[name].total.rows > table.total.rows
    }
    if not columns:
        return Fingerprint({}, {})
    return fingerprint.take(connection, columns=columns, row_types=row_types, written_before=mark)


def set_apart(
    content: Comparison, grown: Fingerprint, words: Collection[str], audit_trail: str = ""
) -> tuple[Comparison, tuple[str, ...]]:
    """The comparison without rows written as a side effect of a migration; and those tables.

    Pure. Only additions are set apart, where the rows of before are all there as they were, and
    only in tables whose names are none of the migration's `words`. The application's `audit_trail`
    is written to by its own triggers, and is not worth a word.
    """
    verdicts, effects = list[Verdict](), list[str]()
    for verdict in content.verdicts:
        older = Verdict(verdict.table, verdict.before, grown.tables.get(verdict.table))
        known = verdict.table == audit_trail
        if (
            verdict.is_equal
            or not older.is_equal
            or not (known or _relation(verdict.table) not in words)
        ):
            verdicts.append(verdict)
            continue
        verdicts.append(older)
        if not known:
            effects.append(
                f"table {verdict.table} (not touched by this migration) has {verdict.found:,} rows"
                f" on the copy after the rehearsal, {verdict.expected:,} before: something on this"
                " database writes to it when a migration runs"
            )
    return replace(content, verdicts=tuple(verdicts)), tuple(effects)


def _relation(table: str) -> str:
    """The name without its schema and quotes."""
    return _plain(NAME.findall(table)[-1])


def _words(migrations: Sequence[Migration]) -> frozenset[str]:
    """Every word of the files, function bodies included, that may be a table's name."""
    texts = (
        statement.text
        for migration in migrations
        for step in migration.up.steps
        for statement in step.statements
    )
    return frozenset(_plain(word) for text in texts for word in NAME.findall(text))


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _start(connection: Connection, pending: Sequence[Migration]) -> Catalog:
    """The catalogue before the first of these migrations; the present one unless half applied."""
    journal = StepJournal(connection)
    last = journal.last_pass(pending[0].version) if pending else None
    text = journal.catalog_before(pending[0].version) if last is not None and last.is_open else None
    return Catalog.from_json(text) if text else catalog.snapshot(connection)


def _expected(
    connection: Connection,
    before: Fingerprint,
    start: Catalog,
    row_types: Mapping[str, Mapping[str, RowType]],
) -> Fingerprint:
    """The content of what was there before the migration; taken anew where the backup holds half of
    its columns, and of tables that hold rows of another one, field by field: those gain a field
    when that table gains a column.
    """
    tables = {name: table for name, table in before.tables.items() if name not in LEDGER_TABLES}
    older = {
        name: tuple(
            column for column in table.columns if f"{name}.{quoted(column)}" in start["columns"]
        )
        for name, table in tables.items()
        if name in start["tables"]
    }
    if older != {name: table.columns for name, table in tables.items()}:
        return fingerprint.take(connection, columns=older, row_types=row_types)
    if holders := {name: columns for name, columns in older.items() if name in row_types}:
        tables |= fingerprint.take(connection, columns=holders, row_types=row_types).tables
    return replace(before, tables=tables)
