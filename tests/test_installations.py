"""All migrations by the engine on every installation, and back from the last state with rows in every new table, salvaged and restored."""

from __future__ import annotations

import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from workbench import limits

from mantis_runbook import catalog, fingerprint, ledger, migrations, programs, run, sandbox, settings, validation
from mantis_runbook import rollback as rollbacks
from mantis_runbook.apply import Engine
from mantis_runbook.database import Connection, connect, query, rows
from mantis_runbook.fingerprint import Fingerprint
from mantis_runbook.lock import hold
from mantis_runbook.migrations import Migration, read_script
from mantis_runbook.server import Server
from mantis_runbook.target import Target

KNOWN = migrations.load()
LIMITS = limits(step_deadline_s=60, statement_timeout_s=120)
#: What goes on being written by triggers while we work: compared by its number of rows, which never falls.
GROWING = ("public.audit_log", "public.schema_migrations", "public.migration_backups")

#: The user table's stand-in, owners under row-level security, the shape of an older schema_migrations and what its writer does.
INSTALLATIONS = {
    "supabase, older tooling a": (
        "supabase", False, "older_tooling_a", "INSERT INTO schema_migrations (migration_name) VALUES ('0006_next')",
    ),
    "extended, forced, older tooling b": (
        "extended", True, "older_tooling_b", "INSERT INTO schema_migrations (id, name, filename) VALUES ('009', 'n', 'n.sql')",
    ),
}  # fmt: skip


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
            for script in (validation.validate(connection, migration.validation),)
            for one in script.failed
        ]


def write_everywhere(connection: Connection) -> None:
    """A row, or more, of two organisations in every table that a migration made."""
    known = {
        row["name"]
        for row in rows(connection, "SELECT relname::text AS name FROM pg_class WHERE relkind IN ('r', 'p')")
    }
    steps = [one for one in read_script(settings.sql() / "tenants" / "rows.sql").steps if one.name in known]
    for number, tenant in enumerate(rows(connection, query("tenants/two_tenants"))):
        told = {"tenants.org": tenant["org_id"], "tenants.person": tenant["user_id"], "tenants.mark": f"apart {number}"}
        told |= dict.fromkeys(("request.jwt.claim.sub", "app.current_user_id"), tenant["user_id"])
        told |= {f"tenants.{one.name}": str(uuid4()) for one in steps}
        with connection.transaction():
            for name, value in told.items():
                connection.execute("SELECT set_config(%s, %s, true)", (name, value))
            for step in steps:
                for statement in step.statements:
                    connection.execute(statement.text)
    connection.execute(
        "INSERT INTO oauth_provider (name, client_id, client_secret_encrypted, authorization_url, token_url, user_info_url)"
        " VALUES ('kept', 'id', 'x', 'https://a', 'https://b', 'https://c')"
    )


def content(connection: Connection, like: Fingerprint | None = None) -> Fingerprint:
    columns = like.columns if like else None
    return fingerprint.take(connection, columns=columns, ignore=() if columns else GROWING)


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
    sandbox.load_baseline(target.parameters, scale=0.01, seed=1, auth=auth, force_rls=forced)  # type: ignore[arg-type]
    with connect(target, "test") as connection:
        connection.execute((settings.sql() / "baseline" / f"{older}.sql").read_text())
        connection.execute(
            'UPDATE organization SET settings = \'{"currency": "ZAR"}\' WHERE id = (SELECT max(id::text)::uuid FROM organization)'
        )
        ledger.install(connection)
        ledger.Ledger(connection).decide("currency", {"ZAR": "USD"}, "Ada")
        theirs = rows(connection, "SELECT * FROM public.schema_migrations ORDER BY 1")
        states, baseline = [catalog.snapshot(connection)], content(connection)
        for migration in KNOWN:
            up(target, (migration,))
            states.append(catalog.snapshot(connection))
        assert failed_validations(target, KNOWN) == []
        assert [
            one["version"]
            for one in rows(
                connection, "SELECT version FROM mantis_runbook.schema_migrations WHERE status = 'completed' ORDER BY 1"
            )
        ] == [one.version for one in KNOWN]
        assert rows(connection, "SELECT * FROM public.schema_migrations ORDER BY 1") == theirs
        connection.execute(writes)
        assert fingerprint.compare(baseline, content(connection, baseline)).is_equal

        write_everywhere(connection)
        assert failed_validations(target, KNOWN) == []
        old, new = content(connection, baseline), content(connection)
        made = {name: one for name, one in new.tables.items() if name not in baseline.tables}
        assert len(made) == 35
        assert [name for name, one in made.items() if one.total.rows == 0] == []
        audited = fingerprint.counts(connection, ["public.audit_log"])["public.audit_log"]

        begun = run.start(target, LIMITS, "Ada", phases={})
        salvaged = []
        for migration, before in zip(reversed(KNOWN), reversed(states[:-1]), strict=True):
            done = rollbacks.roll_back(begun, (migration,), tmp_path / f"salvage-{migration.version}")
            assert done.left_behind.is_empty, str(done.left_behind)
            assert catalog.left_behind(before, catalog.snapshot(connection)).is_empty, migration.label
            assert fingerprint.compare(old, content(connection, old)).is_equal, migration.label
            salvaged += [migration.version] if done.salvage.rows else []
        assert salvaged == ["005", "004", "003", "002", "001"]
        assert fingerprint.counts(connection, ["public.audit_log"])["public.audit_log"] >= audited

        up(target, KNOWN)
        assert failed_validations(target, KNOWN) == []
        psql = programs.find("psql", server=server.version)
        for version in reversed(salvaged):
            folder = tmp_path / f"salvage-{version}"
            subprocess.run([psql, "-X", "-q", "-f", "restore.sql"], cwd=folder, env=target.variables(), check=True)
        restored = fingerprint.compare(new, content(connection, new))
        assert restored.is_equal, restored.message
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
        assert fingerprint.compare(kept, content(connection, kept)).is_equal
        assert done.salvage.rows > 2 * len({one.table for one in done.salvage.files}) - 2
