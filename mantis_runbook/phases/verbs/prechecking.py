"""Precheck: whether everything is as the phase needs it, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mantis_runbook import display
from mantis_runbook.backup import backup
from mantis_runbook.backup import scratch as scratch_databases
from mantis_runbook.checks import named_checks, recognition, restorable, rights_on_copies
from mantis_runbook.checks.named_checks import Checks
from mantis_runbook.engine.engine import refuse_unable
from mantis_runbook.engine.ledger import Ledger, LedgerRow
from mantis_runbook.errors import Refused
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.lint import lint
from mantis_runbook.phases import evidence_tables
from mantis_runbook.phases import plan as plans
from mantis_runbook.phases.copy import PhaseCopy
from mantis_runbook.phases.definitions import PREPARATION
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.postgres import blockers, commands
from mantis_runbook.postgres.connection import Connection, connect, refuse_pooler, refuse_read_only
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.performance import repertoire
from mantis_runbook.runs.evidence import Evidence, Table
from mantis_runbook.runs.run import is_at_work

__all__ = ["precheck"]

READ_RED = "Nothing was changed. Each failed row says what to do; do it and run this cell again."
READ_AMBER = (
    "Nothing here stops the phase. Read each warning and decide; it is on record that it was there."
)


def precheck(record: PhaseRecord) -> Evidence:
    """Check, read only, that everything is as the phase needs it.

    Raises `PrecheckFailed` or `Refused` when it is not.
    """
    run, copy = record.run, PhaseCopy(record)
    repertoire.refuse_unfit(run.environment)
    refuse_pooler(run.target)
    with (
        run.read("precheck", patience_s=named_checks.PATIENCE_S) as connection,
        blockers.refusing(connection),
    ):
        refuse_read_only(connection, run.target)
        book = Ledger(connection)
        states = book.all()
        if record.definition.kind != PREPARATION:
            _refuse_unready(record, book.require(), states)
            refuse_unable(connection, record.migrations)
        _refuse_another_schema(record, connection)
        found = _checked(record, connection, copy)
        free = backup.refuse_full_disk(connection, run.backups, run.environment.disk_factor)
    for program in ("pg_dump", "pg_dumpall"):
        commands.command(program, run.target)
    commands.command("pg_restore", copy.server)
    evidence = Evidence(
        record.number,
        "precheck",
        {"pass": "passed", "warn": "warned", "fail": "failed"}[found.verdict],
        f"{display.many(len(found.results), 'check')}: {len(found.failed)} failed,"
        f" {len(found.warned)} warned",
        (*evidence_tables.checks_tables(found), _state_table(states), *_left_behind(copy.server)),
        {"free_bytes": free},
        advice="" if found.verdict == "pass" else READ_RED if found.failed else READ_AMBER,
    )
    if found.failed:
        record.show_red(evidence)
        found.require()
    return evidence


def _checked(record: PhaseRecord, connection: Connection, copy: PhaseCopy) -> Checks:
    """The phase's checks, and whether its backup can be restored where it will be."""
    environment = record.run.environment
    lax = {"durability"} if environment.unsafe_durability else set[str]()
    lax |= {"publications_that_grow"} if environment.publications_may_grow else set[str]()
    found = named_checks.run(connection, record.number, tolerate=lax)
    with connect(copy.server, "precheck", lock_timeout="10s") as scratch:
        of_copies = (
            restorable.check(connection, scratch),
            rights_on_copies.may_restore(connection, scratch),
        )
    return replace(found, results=(*found.results, *of_copies))


def _refuse_another_schema(record: PhaseRecord, connection: Connection) -> None:
    """One sentence, before all details, on a database that is not the one to be migrated."""
    recognised = recognition.recognise(connection, record.number)
    if recognised.kind != "baseline":
        there = Table(
            "what is there already",
            [dict(item) for item in recognised.objects],
            folded=len(recognised.objects) > 12,
        )
        tables = (there,) if recognised.objects else ()
        record.show_red(Evidence(record.number, "precheck", "failed", recognised.sentence, tables))
        recognition.require_baseline(connection, record.number)


def _refuse_unready(record: PhaseRecord, book: Ledger, states: Mapping[str, LedgerRow]) -> None:
    """Files that changed or are unsafe, and migrations this phase stands on that are missing."""
    plans.refuse_edited(migration_files.load(), states)
    own = {migration.version for migration in record.migrations}
    for migration in record.migrations:
        lint.refuse_unsafe(migration)
        missing = [
            version
            for version in migration.requires
            if version not in own
            and (states.get(version) is None or states[version].status != "completed")
        ]
        if missing:
            raise Refused(
                f"migration {migration.label} stands on {', '.join(missing)}",
                found="not completed",
                expected="completed",
                action=(
                    "run the notebook of that phase first; `mantis-runbook status` shows where"
                    " things stand"
                ),
            )


def _state_table(states: Mapping[str, LedgerRow]) -> Table:
    records = [
        {
            "migration": migration.label,
            "title": migration.title,
            "state": states[migration.version].status
            if migration.version in states
            else "not applied",
        }
        for migration in migration_files.load()
    ]
    return Table("ledger", records)


def _left_behind(server: Target) -> tuple[Table, ...]:
    """Scratch databases of runs that were killed: they hold personal data, and disk."""
    found = scratch_databases.all_on(server, is_at_work)
    records = [
        {
            "database": database.name,
            "MiB": round((database.bytes or 0) / 2**20, 1),
            "what": database.why,
        }
        for database in found
        if database.state == "left"
    ]
    what = "scratch databases that killed runs left: `mantis-runbook clean` drops them"
    return (Table(what, records),) if records else ()
