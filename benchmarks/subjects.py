"""What `benchmarks.gaps` changes: a few statements on tables of its own, or the real migrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import ways
from benchmarks.load import Scenario
from benchmarks.performance_trials import database
from mantis_runbook import sandbox
from mantis_runbook.engine import ledger
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.lint import lint
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target
from mantis_runbook.watch import application_load

CHANGE = Path(__file__).with_name("change")

Way = Callable[[Target], ways.Story]


@dataclass(frozen=True)
class Subject:
    """What is changed: the database to copy, the ways to change it, who uses it meanwhile, and what
    is looked at.
    """

    name: str
    template: str
    engine: Way
    psql: Way
    scenario: Scenario
    probed: tuple[str, ...]
    read: tuple[str, ...]


def change(template: str, rows: int) -> Subject:
    """The change of a few statements."""
    steps = migration_files.load(CHANGE / "migrations")
    for step in steps:
        lint.refuse_unsafe(step)
    return Subject(
        name=f"change of {rows:,} rows",
        template=template,
        engine=lambda target: ways.engine(target, steps),
        psql=lambda target: ways.psql(target, [("plain.sql", (CHANGE / "plain.sql").read_text())]),
        scenario=Scenario((CHANGE / "load.sql",), (f"rows={rows}",)),
        probed=("account", "purchase", "event"),
        read=("account", "purchase", "event", "event_2026"),
    )


def phases(template: str) -> Subject:
    """The real migrations of phases 1 to 4. Each is one transaction for psql."""
    known = migration_files.load()
    touched = (
        "organization",
        "profile",
        "customer",
        "supplier",
        "inventory_item",
        "purchase_order",
        "purchase_order_item",
    )
    return Subject(
        name=f"migrations {known[0].version} to {known[-1].version}",
        template=template,
        engine=lambda target: ways.engine(target, known),
        psql=lambda target: ways.psql(
            target, [(migration.version, ways.in_one_transaction(migration)) for migration in known]
        ),
        scenario=Scenario(application_load.scenarios()),
        probed=("customer", "purchase_order", "audit_log"),
        read=(*touched, "audit_log"),
    )


@contextmanager
def changeable(target: Target, rows: int) -> Iterator[str]:
    """The name of a database with the tables of the change, to be copied."""
    name = f"mantis_bench_change_{rows}"
    with database(target, name) as place:
        parameters: dict[str, Any] = dict(place.parameters)
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute("SELECT set_config('mantis.rows', %s, false)", (str(rows),))
            connection.execute((CHANGE / "tables.sql").read_bytes())
            connection.execute("VACUUM ANALYZE")
        with connect(place, "benchmark") as connection:
            ledger.install(connection)
        yield name


@contextmanager
def baseline(target: Target, scale: float) -> Iterator[str]:
    """The name of a database with the baseline and the ledger, to be copied."""
    with database(target, "mantis_bench_baseline") as place:
        sandbox.load_baseline(place.parameters, scale=scale, seed=2026)
        with connect(place, "benchmark", lock_timeout="0") as connection:
            ledger.install(connection)
            connection.execute("VACUUM ANALYZE")
        yield "mantis_bench_baseline"
