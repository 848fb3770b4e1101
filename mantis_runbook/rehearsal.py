"""The rehearsal: a phase carried out on the restored backup, rolled back, and carried out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mantis_runbook import catalog, fingerprint, validation
from mantis_runbook.apply import Applied, Engine, Watcher
from mantis_runbook.catalog import Catalog, Difference
from mantis_runbook.database import Connection, connect
from mantis_runbook.fingerprint import Comparison, Fingerprint
from mantis_runbook.ledger import Ledger, StepJournal
from mantis_runbook.lock import hold
from mantis_runbook.locks import Judged, Recorder, judge
from mantis_runbook.migrations import Migration
from mantis_runbook.settings import Environment
from mantis_runbook.statements import quoted
from mantis_runbook.target import Target
from mantis_runbook.validation import Suite

__all__ = ["LEDGER_TABLES", "Rehearsal", "rehearse"]

#: Written by the runbook itself while it works, so no part of what must not change.
LEDGER_TABLES = ("public.schema_migrations", "public.migration_backups")


@dataclass(frozen=True)
class Rehearsal:
    """What happened on the copy. `content` compares the old columns before and after; `left_behind` the catalogue
    before and after the rollback."""

    applied: tuple[Applied, ...]
    suite: Suite
    content: Comparison
    rolled_back: tuple[Applied, ...]
    left_behind: Difference
    again: tuple[Applied, ...]
    locks: tuple[Judged, ...] = ()
    touched: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """What keeps the phase from going on; empty when all went as it must."""
        found = self.suite.problems
        if not self.content.is_equal:
            found.append(f"old columns changed: {self.content.message}")
        if not self.left_behind.is_empty:
            found.append(f"the rollback leaves a difference: {self.left_behind}")
        red = [one for one in self.locks if one.verdict == "fail"]
        found += [f"{one.locks.statement} on {one.locks.table}: {one.reason}" for one in red]
        return found


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

    Validated is as on the target, and with the tests of what is completed there: a migration may break what an earlier
    one promised. The comparison comes after them, so that a test which leaves something is seen as well. A migration that
    is completed there is left out; one that was half applied when the backup was taken is finished, and its rollback
    compared with the catalogue from before it. Raises what the engine raises when a step fails there: better there than
    on the target.
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
        expected = _expected(connection, before, start)
        mark = _next_transaction(connection)
        applied = tuple(engine.up(one) for one in pending)
        suite = validation.validate_suite(connection, migrations, earlier=completed)
        _forget_own_audit(connection, mark)
        content = fingerprint.compare(expected, fingerprint.take(connection, columns=expected.columns))
        rolled_back = tuple(engine.rollback(one) for one in reversed(pending))
        left_behind = catalog.left_behind(start, catalog.snapshot(connection), Ledger(connection).added_currencies())
        again = tuple(engine.up(one) for one in pending)
    judged = tuple(judge(one, environment) for one in recorder.locks)
    return Rehearsal(applied, suite, content, rolled_back, left_behind, again, judged, recorder.touched)


def _next_transaction(connection: Connection) -> int:
    """The number of the next transaction, as `xmin` of the rows it writes will show it."""
    row = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric % 4294967296").fetchone()
    return int(row[0]) if row else 0


def _forget_own_audit(connection: Connection, mark: int) -> None:
    """On the copy only: drop the audit rows that the migration itself caused, so that the older ones can be compared.

    Nobody else writes there, so what came since the mark is the migration's own, such as that of default accounts.
    """
    there = connection.execute("SELECT to_regclass('public.audit_log') IS NOT NULL").fetchone()
    if there and there[0]:
        connection.execute("DELETE FROM audit_log WHERE xmin::text::bigint >= %s", (mark,))


def _start(connection: Connection, pending: Sequence[Migration]) -> Catalog:
    """The catalogue from before the first of these migrations: as it is now, unless that one is half applied."""
    journal = StepJournal(connection, "", "")
    last = journal.last_pass(pending[0].version) if pending else None
    text = journal.catalog_before(pending[0].version) if last is not None and last.is_open else None
    return Catalog.from_json(text) if text else catalog.snapshot(connection)


def _expected(connection: Connection, before: Fingerprint, start: Catalog) -> Fingerprint:
    """The content of what was there before the migration; taken anew where the backup holds half of its columns."""
    tables = {name: table for name, table in before.tables.items() if name not in LEDGER_TABLES}
    older = {
        name: tuple(column for column in table.columns if f"{name}.{quoted(column)}" in start["columns"])
        for name, table in tables.items()
        if name in start["tables"]
    }
    if older == {name: table.columns for name, table in tables.items()}:
        return Fingerprint(tables, before.sequences)
    return fingerprint.take(connection, columns=older)
