"""All migrations by the engine on every installation, and back from the last state with rows in
every new table, salvaged and restored.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from workbench import limits

from mantis_runbook import sandbox, settings
from mantis_runbook.backup import fingerprint
from mantis_runbook.backup.comparison import compare
from mantis_runbook.backup.fingerprint import Fingerprint
from mantis_runbook.checks import validations
from mantis_runbook.engine import ledger
from mantis_runbook.engine import rolling_back as rollbacks
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.files import Migration, read_script
from mantis_runbook.postgres import catalog, commands
from mantis_runbook.postgres.catalog import Catalog
from mantis_runbook.postgres.connection import Connection, connect, query, rows
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import run

KNOWN = migration_files.load()
LIMITS = limits(step_deadline_s=60, statement_timeout_s=120)
#: Written by triggers all the time, and by every rollback: its number of rows never falls.
AUDIT = "public.audit_log"
OTHER_LEDGER = "SELECT * FROM public.schema_migrations ORDER BY 1"
COMPLETED = (
    "SELECT version FROM mantis_runbook.schema_migrations WHERE status = 'completed' ORDER BY 1"
)
#: What goes on being written by triggers while we work: compared by its number of rows, which never
#: falls.
GROWING = (AUDIT, "public.schema_migrations", "public.migration_backups")

#: The user table's stand-in, owners under row-level security, the shape of an older
#: schema_migrations and what its writer does.
INSTALLATIONS = {
    "supabase, older tooling a": (
        "supabase",
        False,
        "older_tooling_a",
        "INSERT INTO schema_migrations (migration_name) VALUES ('0006_next')",
    ),
    "extended, forced, older tooling b": (
        "extended",
        True,
        "older_tooling_b",
        "INSERT INTO schema_migrations (id, name, filename) VALUES ('009', 'n', 'n.sql')",
    ),
}


def up(target: Target, chosen: tuple[Migration, ...]) -> None:
    with hold(target, "test", "test") as fence:
        engine = Engine(target, LIMITS, "test", "test", fence)
        for one in chosen:
            engine.up(one)


def failed_validations(target: Target, chosen: tuple[Migration, ...]) -> list[str]:
    with connect(target, "test") as connection:
        return [
            f"{script.source}: {one.name}: {one.found}"
            for migration in chosen
            for script in (validations.validate(connection, migration.validation),)
            for one in script.failed
        ]


def write_everywhere(connection: Connection) -> None:
    """A row, or more, of two organisations in every table that a migration made."""
    known = {
        row["name"]
        for row in rows(
            connection, "SELECT relname::text AS name FROM pg_class WHERE relkind IN ('r', 'p')"
        )
    }
    steps = [
        one
        for one in read_script(settings.sql() / "tenants" / "rows.sql").steps
        if one.name in known
    ]
    for number, tenant in enumerate(rows(connection, query("tenants/two_tenants"))):
        told = {
            "tenants.org": tenant["org_id"],
            "tenants.person": tenant["user_id"],
            "tenants.mark": f"apart {number}",
        }
        told |= dict.fromkeys(("request.jwt.claim.sub", "app.current_user_id"), tenant["user_id"])
        told |= {f"tenants.{one.name}": str(uuid4()) for one in steps}
        with connection.transaction():
            for name, value in told.items():
                connection.execute("SELECT set_config(%s, %s, true)", (name, value))
            for step in steps:
                for statement in step.statements:
                    connection.execute(statement.text)
    connection.execute(
        "INSERT INTO oauth_provider (name, client_id, client_secret_encrypted, authorization_url,"
        " token_url, user_info_url) VALUES ('kept', 'id', 'x', 'https://a', 'https://b',"
        " 'https://c')"
    )


def post_an_entry(connection: Connection) -> None:
    """One of the journal entries gets a line that balances it, and is posted: from then on nobody
    may change it.
    """
    connection.execute(
        "WITH balance AS ( INSERT INTO journal_entry_line (journal_entry_id, account_id,"
        " description, credit_amount, line_number) SELECT journal_entry_id, account_id, 'balance',"
        " debit_amount, 2 FROM journal_entry_line LIMIT 1 RETURNING journal_entry_id) SELECT FROM"
        " balance"
    )
    connection.execute(
        "SELECT post_journal_entry(journal_entry_id) FROM journal_entry_line WHERE description ="
        " 'balance'"
    )


def content(connection: Connection, like: Fingerprint | None = None) -> Fingerprint:
    columns = like.columns if like else None
    return fingerprint.take(connection, columns=columns, ignore=() if columns else GROWING)


def prepare(connection: Connection, older: str) -> list[dict[str, Any]]:
    """Older tooling, an organisation whose currency must be decided, our ledger; the rows of the
    older tooling's table.
    """
    connection.execute((settings.sql() / "baseline" / f"{older}.sql").read_text())
    connection.execute(
        'UPDATE organization SET settings = \'{"currency": "ZAR"}\' WHERE id = (SELECT'
        " max(id::text)::uuid FROM organization)"
    )
    ledger.install(connection)
    ledger.Ledger(connection).decide("currency", {"ZAR": "USD"}, "Ada")
    return rows(connection, OTHER_LEDGER)


def climb(connection: Connection, target: Target) -> list[Catalog]:
    """Every migration, one after the other; the catalogue before each and after the last."""
    states = [catalog.snapshot(connection)]
    for migration in KNOWN:
        up(target, (migration,))
        states.append(catalog.snapshot(connection))
    return states


def descend(
    connection: Connection, target: Target, states: list[Catalog], old: Fingerprint, folder: Path
) -> list[str]:
    """Every migration back, newest first, each to where it began, old content untouched; versions
    with a salvage.
    """
    begun, salvaged = run.start(target, LIMITS, "Ada", phases={}), list[str]()
    for migration, before in zip(reversed(KNOWN), reversed(states[:-1]), strict=True):
        done = rollbacks.roll_back(begun, (migration,), folder / f"salvage-{migration.version}")
        assert done.left_behind.is_empty, str(done.left_behind)
        assert catalog.left_behind(before, catalog.snapshot(connection)).is_empty, migration.label
        assert compare(old, content(connection, old)).is_equal, migration.label
        salvaged += [migration.version] if done.salvage.rows else []
    return salvaged


def restore(target: Target, folders: list[Path]) -> None:
    psql = commands.command("psql", target, "--quiet", "--file=restore.sql")
    for folder in folders:
        subprocess.run(psql.arguments, cwd=folder, env=psql.environment, check=True)


@pytest.mark.parametrize("installation", INSTALLATIONS)
def test_every_migration_goes_up_and_back_with_rows_and_what_was_salvaged_comes_back(
    empty_database: Target,
    server: Server,
    installation: str,
    tmp_path: Path,
    reports: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MANTIS_RUNBOOK_BACKUPS", str(tmp_path / "backups"))
    auth, forced, older, writes = INSTALLATIONS[installation]
    target = empty_database
    sandbox.load_baseline(
        target.parameters,
        scale=0.01,
        seed=1,
        auth=auth,  # type: ignore[arg-type]
        force_rls=forced,
    )
    with connect(target, "test") as connection:
        theirs, baseline = prepare(connection, older), content(connection)
        states = climb(connection, target)
        assert failed_validations(target, KNOWN) == []
        assert rows(connection, COMPLETED) == [{"version": one.version} for one in KNOWN]
        assert rows(connection, OTHER_LEDGER) == theirs
        connection.execute(writes)
        assert compare(baseline, content(connection, baseline)).is_equal

        write_everywhere(connection)
        post_an_entry(connection)
        assert failed_validations(target, KNOWN) == []
        old, new = content(connection, baseline), content(connection)
        made = {name: one for name, one in new.tables.items() if name not in baseline.tables}
        assert len(made) == 35
        assert [name for name, one in made.items() if one.total.rows == 0] == []
        audited = fingerprint.counts(connection, [AUDIT])[AUDIT]

        salvaged = descend(connection, target, states, old, tmp_path)
        assert salvaged == ["005", "004", "003", "002", "001"]
        assert fingerprint.counts(connection, [AUDIT])[AUDIT] >= audited

        up(target, KNOWN)
        assert failed_validations(target, KNOWN) == []
        restore(target, [tmp_path / f"salvage-{version}" for version in reversed(salvaged)])
        restored = compare(new, content(connection, new))
        assert restored.is_equal, restored.message
        assert rows(connection, "SELECT count(*) AS posted FROM journal_entry WHERE is_posted") == [
            {"posted": 1}
        ]
        assert failed_validations(target, KNOWN) == []


@pytest.mark.parametrize("state", [3, 5, 7])
def test_all_go_back_at_once_from_a_state_between(
    database: Target, state: int, tmp_path: Path, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANTIS_RUNBOOK_BACKUPS", str(tmp_path / "backups"))
    with connect(database, "test") as connection:
        ledger.install(connection)
        before = catalog.snapshot(connection)
        up(database, KNOWN[:state])
        baseline = [name.split(".")[1] for name in before["tables"] if name.startswith("public.")]
        write_everywhere(connection)
        old = content(connection)
        kept = fingerprint.take(
            connection,
            columns={
                name: [column for column in one.columns if f"{name}.{column}" in before["columns"]]
                for name, one in old.tables.items()
                if name.removeprefix("public.") in baseline
            },
        )
        assert len(kept.tables) > 25
        begun = run.start(database, LIMITS, "Ada", phases={})
        done = rollbacks.roll_back(begun, tuple(reversed(KNOWN[:state])), tmp_path / "salvage")
        assert done.left_behind.is_empty, str(done.left_behind)
        assert catalog.left_behind(before, catalog.snapshot(connection)).is_empty
        assert compare(kept, content(connection, kept)).is_equal
        assert done.salvage.rows > 2 * len({one.table for one in done.salvage.files}) - 2
