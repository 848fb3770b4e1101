"""Bad input, through the command line: one clear message, the right exit code, and nothing changed.

What the engine refuses by itself (a pooler, a pg_dump that fails half way …) has its own tests;
here is what a user sees.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import papermill
import psycopg
import pytest
from click.testing import Result
from project import REPOSITORY, Project, ask, execute, nothing_changes, state
from psycopg.conninfo import make_conninfo

from mantis_runbook.postgres import catalog
from mantis_runbook.postgres import connection as database
from mantis_runbook.postgres.server import Server, free_port
from mantis_runbook.postgres.server_account import account, private_folder
from mantis_runbook.postgres.target import Target

DEVELOPMENT = ("--target", "TEST_DSN", "--environment", "development")


def refused(result: Result, *says: str) -> None:
    """Exit code 2, and a message that says all of this; never a traceback."""
    assert result.exit_code == 2, result.output
    told = " ".join(result.output.split())
    for words in says:
        assert words in told, told
    assert "Traceback" not in told


# -- the target ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["run", "--phases", "0"], ["plan"], ["status"], ["rollback", "001"]],
    ids=lambda words: words[0],
)
def test_no_server_there(
    words: list[str], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "TEST_DSN", f"host=127.0.0.1 port={free_port()} dbname=mantis_db user=nobody"
    )
    refused(
        project.call(*words, "--target", "TEST_DSN"),
        "cannot connect to target TEST_DSN", "Connection refused", "check that the server runs",
    )  # fmt: skip
    assert project.runs() == []


@pytest.mark.parametrize(
    "words", [["run", "--phases", "0"], ["status"]], ids=lambda words: words[0]
)
def test_a_wrong_password(
    words: list[str],
    project: Project,
    own_newest_server: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    server = own_newest_server(listen="127.0.0.1", port=port)
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute("CREATE ROLE operator LOGIN SUPERUSER PASSWORD 'the-right-one'")
    (server.data / "pg_hba.conf").write_text(
        "host all operator 127.0.0.1/32 scram-sha-256\nlocal all mantis trust\n"
    )
    server.reload()
    monkeypatch.setenv("TEST_DSN", f"postgresql://operator:the-wrong-one@127.0.0.1:{port}/postgres")
    result = project.call(*words, "--target", "TEST_DSN")
    refused(
        result,
        "cannot connect to target TEST_DSN",
        'password authentication failed for user "operator"',
    )
    assert "the-wrong-one" not in result.output
    assert project.runs() == []


def test_a_database_that_is_not_mantisnxt(
    project: Project, empty_newest: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nothing_changes(empty_newest):
        refused(
            project.call("run", "--phases", "0", *DEVELOPMENT),
            "this is no database of MantisNXT",
            "is_mantisnxt: found",
            "ai_conversation",
            "expected",
        )
    assert project.verbs("0")["precheck"] == "refused"
    assert project.summary()["verdict"] == "refused"


@pytest.fixture
def empty_newest(newest_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    with psycopg.connect(**newest_server.parameters, autocommit=True) as connection:
        connection.execute("CREATE DATABASE nothing_in_it TEMPLATE template0")
        parameters = newest_server.parameters | {"dbname": "nothing_in_it"}
        monkeypatch.setenv("TEST_DSN", make_conninfo(**parameters))
        yield Target("TEST_DSN", "variable", parameters)
        connection.execute("DROP DATABASE nothing_in_it WITH (FORCE)")


@pytest.mark.parametrize(
    ("rights", "says"),
    [
        ((), ("role_rights: found", "may not CREATE")),
        (
            (
                "GRANT CREATE ON SCHEMA public TO clerk",
                "GRANT SELECT ON ALL TABLES IN SCHEMA public TO clerk",
            ),
            ("role_rights: found", "belongs to mantis, whose rights this role does not have"),
        ),
    ],
    ids=["no rights at all", "may read, owns nothing"],
)
def test_a_role_without_the_rights(
    rights: tuple[str, ...],
    says: tuple[str, ...],
    project: Project,
    unprepared: Target,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    execute(unprepared, "CREATE ROLE clerk LOGIN", *rights)
    try:
        monkeypatch.setenv("TEST_DSN", make_conninfo(**unprepared.parameters | {"user": "clerk"}))
        with nothing_changes(unprepared):
            refused(project.call("run", "--phases", "0", *DEVELOPMENT), *says)
    finally:
        execute(unprepared, "DROP OWNED BY clerk", "DROP ROLE clerk")


@pytest.fixture
def pooled(prepared: Target, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """The same database through pgbouncer in transaction mode; TEST_DSN names the pooler."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer on this machine")
    place, port, user = private_folder("mantis-pooler-"), free_port(), account()
    where = prepared.parameters
    (place / "pgbouncer.ini").write_text(
        f"[databases]\npooled = host={where['host']} port={where['port']} dbname={where['dbname']}"
        f" user={where['user']}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port ="
        f" {port}\nauth_type = any\npool_mode = transaction\nunix_socket_dir = {place}\nlogfile ="
        f" {place}/log\ndefault_pool_size = 2\n"
    )
    (place / "pgbouncer.ini").chmod(0o644)
    running = subprocess.Popen(
        [program, "--quiet", place / "pgbouncer.ini"], user=user.pw_uid if user else None
    )
    dsn = f"host=127.0.0.1 port={port} dbname=pooled user=mantis"
    monkeypatch.setenv("TEST_DSN", dsn)
    for _ in range(100):
        try:
            psycopg.connect(dsn, connect_timeout=1).close()
            break
        except psycopg.OperationalError:
            assert running.poll() is None
    yield prepared
    running.terminate()
    running.wait()
    shutil.rmtree(place)


@pytest.mark.parametrize(
    "words",
    [["run", "--phases", "1", "--environment", "development"], ["status"]],
    ids=lambda words: words[0],
)
def test_a_pooler_in_transaction_mode(words: list[str], project: Project, pooled: Target) -> None:
    with nothing_changes(pooled):
        refused(
            project.call(*words, "--target", "TEST_DSN"),
            "PoolerRefused: target TEST_DSN is reached through a pooler in transaction mode",
            "expected a direct connection", "name the server itself",
        )  # fmt: skip
    with psycopg.connect(os.environ["TEST_DSN"], autocommit=True) as connection:
        found = connection.execute(
            "SELECT current_setting('lock_timeout'), current_setting('row_security')"
        ).fetchone()
    assert found == (
        "0",
        "on",
    ), "a setting of ours stayed in a session that the pooler hands to the application"
    assert project.runs() == []


def test_a_server_that_is_too_old(
    project: Project, prepared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such server is to be had here: the oldest supported version is moved up instead."""
    monkeypatch.setattr(database, "OLDEST", 99)
    refused(
        project.call("run", "--phases", "1", *DEVELOPMENT),
        "the server of target TEST_DSN is too old: found PostgreSQL 1",
        "expected 99 or newer",
        "upgrade the server",
    )
    assert project.runs() == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--target", "nowhere"), ("target 'nowhere' is unknown", "expected sandbox, a service")),
        (
            ("--target", "postgresql://me:hunter2@host/db"),
            ("found a connection string", "put the connection string into a variable"),
        ),
        (("--target", "sandbox"), ("the sandbox is not running", "mantis-runbook sandbox start")),
        (
            ("--environment", "acceptance"),
            ("found 'acceptance'", "expected one of development, staging, production"),
        ),
        (("--phases", "9"), ("found '9'", "expected one of 0, 1", "choose one of them")),
        (("--phases", "1-0"), ("phases: found '1-0'", "expected all, a number, or a range")),
        (("--phases", ""), ("phase: found ''",)),
    ],
    ids=lambda value: " ".join(value) if len(value) == 2 and value[0].startswith("--") else "",
)
def test_an_unknown_target_environment_or_phase(
    words: tuple[str, ...], says: tuple[str, ...], project: Project, prepared: Target
) -> None:
    with nothing_changes(prepared):
        result = project.call("run", *DEVELOPMENT, *words)
    refused(result, *says)
    assert "hunter2" not in result.output
    assert project.runs() == []


# -- programs and disk -----------------------------------------------------------------------------


def programs_of(folder: Path, version: str | None) -> Path:
    """A folder with all programs of that version; none of them, if there is no version."""
    folder.mkdir()
    for name in ("pg_dump", "pg_restore", "pg_dumpall", "pgbench") if version else ():
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (
            None,
            (
                "pg_dump was not found",
                "expected pg_dump of PostgreSQL 1",
                "set MANTIS_RUNBOOK_PG_BIN",
            ),
        ),
        (
            "13.4",
            ("pg_dump is older than the server", "found pg_dump 13", "install postgresql-client-1"),
        ),
    ],
    ids=["missing", "older"],
)
def test_a_pg_dump_that_is_missing_or_older_than_the_server(
    version: str | None,
    says: tuple[str, ...],
    project: Project,
    prepared: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MANTIS_RUNBOOK_PG_BIN", str(programs_of(tmp_path / "bin", version)))
    with nothing_changes(prepared):
        refused(project.call("run", "--phases", "1", *DEVELOPMENT), *says)


def test_a_missing_pgbench_is_told_before_anything_begins(
    project: Project, prepared: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.limit("load_rate", "10.0")
    monkeypatch.setenv("MANTIS_RUNBOOK_PG_BIN", str(programs_of(tmp_path / "bin", None)))
    with nothing_changes(prepared):
        refused(project.call("run", "--phases", "1", *DEVELOPMENT), "pgbench was not found")
    assert project.runs() == []


def test_too_little_disk_for_a_backup(project: Project, prepared: Target) -> None:
    project.limit("disk_factor", "1e12")
    with nothing_changes(prepared):
        refused(
            project.call("run", "--phases", "1", *DEVELOPMENT),
            "too little disk for a backup in",
            "MiB free",
            "times the database",
            "MANTIS_RUNBOOK_BACKUPS",
        )


def test_a_disk_that_fills_up_under_the_backup(
    project: Project, prepared: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        monkeypatch.setenv("MANTIS_RUNBOOK_BACKUPS", str(small))
        project.limit("disk_factor", "0.0")
        with nothing_changes(prepared):
            refused(
                project.call("run", "--phases", "1", *DEVELOPMENT),
                "the disk filled up under the backup in",
            )
        assert [path for path in small.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", small], check=True)


# -- migration files -------------------------------------------------------------------------------


def broken_syntax(project: Project) -> None:
    project.edit("CREATE TABLE oauth_provider", "CREATE TABEL oauth_provider")


def no_rollback(project: Project) -> None:
    project.migration.with_name("001_core_enhancements_rollback.sql").unlink()


def no_validation(project: Project) -> None:
    project.migration.with_name("001_core_enhancements_validate.sql").unlink()


def twice(project: Project) -> None:
    for role in ("", "_rollback", "_validate"):
        copy = project.migration.with_name(f"001_another{role}.sql")
        shutil.copy(project.migration.with_name(f"001_core_enhancements{role}.sql"), copy)


@pytest.mark.parametrize("words", [["plan"], ["run", "--phases", "1"]], ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (broken_syntax, ("001_core_enhancements.sql", 'syntax error at or near "TABEL"')),
        (no_rollback, ("found no 001_core_enhancements_rollback.sql", "write what is missing")),
        (no_validation, ("found no 001_core_enhancements_validate.sql", "write what is missing")),
        (
            twice,
            (
                "migration number 001",
                "001_another.sql and 001_core_enhancements.sql",
                "next free number",
            ),
        ),
    ],
    ids=["syntax error", "no rollback", "no validation", "numbered twice"],
)
def test_a_migration_file_that_cannot_be_used(
    damage: Callable[[Project], None],
    says: tuple[str, ...],
    words: list[str],
    project: Project,
    prepared: Target,
) -> None:
    before = state(prepared)
    damage(project)
    refused(project.call(*words, *DEVELOPMENT), "MigrationFileError", *says)
    after = state(prepared)
    assert (str(catalog.diff(before[0], after[0])), before[1]) == (
        str(catalog.diff(before[0], before[0])),
        after[1],
    )
    assert project.runs() == []


@pytest.mark.parametrize("words", [["plan"], ["run", "--phases", "1"]], ids=lambda words: words[0])
@pytest.mark.parametrize(
    "role", ["", "_rollback", "_validate"], ids=["itself", "rollback", "validation"]
)
def test_a_migration_file_edited_after_it_was_applied(
    role: str, words: list[str], project: Project, migrated: Target
) -> None:
    project.edit("-- step:", "-- a remark\n-- step:", role=role)
    with nothing_changes(migrated):
        refused(
            project.call(*words, *DEVELOPMENT),
            "migration 001 core_enhancements was edited after it was applied",
            "as recorded in schema_migrations",
            "restore the files from version control",
        )
    assert project.runs() == []


# -- notebook parameters ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notebook", "parameters", "says"),
    [
        (
            "00_preparation",
            {"tarqet": "TEST_DSN"},
            "notebook parameter 'tarqet' is unknown: expected one of target",
        ),
        (
            "01_core_enhancements",
            {"environment": 1},
            "notebook parameter 'environment': found 1 (int)",
        ),
        (
            "90_rollback",
            {"version": 7},
            "notebook parameter 'version': found 7 (int), expected text (str)",
        ),
        (
            "mission_control",
            {"target": "TEST_DSN", "run": "x"},
            "notebook parameter 'run' is unknown",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_an_unknown_notebook_parameter_or_one_of_the_wrong_type(
    notebook: str, parameters: dict[str, object], says: str, project: Project, prepared: Target
) -> None:
    with (
        nothing_changes(prepared),
        pytest.raises(papermill.PapermillExecutionError, match="ParameterError") as caught,
    ):
        project.papermill(notebook, parameters=parameters)
    assert says in str(caught.value)
    assert project.runs() == []


def test_papermill_turns_007_into_a_number_and_is_told_which_option_keeps_text(
    project: Project, prepared: Target
) -> None:
    notebook = project.home / "notebooks" / "90_rollback.ipynb"
    words = [
        "-p",
        "target",
        "TEST_DSN",
        "-p",
        "version",
        "007",
        "-k",
        "python3",
        "--no-progress-bar",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "papermill", notebook, project.home / "out.ipynb", *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "found 7 (int), expected text (str); with papermill, pass it with -r" in done.stderr


# -- what the database holds -----------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "wanted"), [("a", "0"), ("b", "0-1")])
def test_a_schema_migrations_of_another_shape_stays_as_it_is(
    shape: str, wanted: str, project: Project, unprepared: Target
) -> None:
    execute(
        unprepared, (REPOSITORY / "sql" / "baseline" / f"older_tooling_{shape}.sql").read_text()
    )
    theirs = "SELECT json_agg(schema_migrations) FROM public.schema_migrations"
    before = ask(unprepared, theirs)
    result = project.call("run", "--phases", wanted, *DEVELOPMENT)
    assert result.exit_code == 0, result.output
    assert ask(unprepared, theirs) == before
    applied = ask(
        unprepared,
        "SELECT json_agg(version || ' ' || status) FROM mantis_runbook.schema_migrations",
    )
    assert applied == (["001 completed"] if wanted == "0-1" else None)
    assert ask(unprepared, "SELECT to_regclass('public.migration_backups')") is None
    assert (
        "ledger in schema mantis_runbook" in project.call("status", "--target", "TEST_DSN").stdout
    )


def test_rows_that_violate_a_foreign_key(project: Project, unprepared: Target) -> None:
    execute(
        unprepared,
        "SET session_replication_role = replica; UPDATE support_ticket SET customer_id ="
        " gen_random_uuid() WHERE id = (SELECT id FROM support_ticket LIMIT 1)",
    )
    with nothing_changes(unprepared):
        refused(
            project.call("run", "--phases", "0", *DEVELOPMENT),
            "broken_foreign_keys: found",
            "support_ticket_customer_id_fkey",
            "1 row(s) without their row",
        )


def test_leftovers_of_earlier_tooling(project: Project, prepared: Target) -> None:
    execute(
        prepared,
        (REPOSITORY / "sql" / "baseline" / "leftovers.sql").read_text(),
        "CREATE INDEX idx_api_key_org ON customer (name)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_api_key_org'::regclass",
    )
    with nothing_changes(prepared):
        refused(
            project.call("run", "--phases", "1", *DEVELOPMENT),
            "leftover_enums: found", "currency_code", "JPY",
            "leftover_tables: found", "oauth_provider",
            "leftover_indexes: found index idx_api_key_org: invalid, on customer",
        )  # fmt: skip


def test_under_load_a_refused_target_is_not_touched(project: Project, prepared: Target) -> None:
    project.limit("load_rate", "50.0")
    execute(prepared, (REPOSITORY / "sql" / "baseline" / "leftovers.sql").read_text())
    written = (
        "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables WHERE"
        " schemaname = 'public'"
    )
    before = ask(prepared, written)
    with nothing_changes(prepared):
        refused(project.call("run", "--phases", "1", *DEVELOPMENT), "leftover_tables")
    assert ask(prepared, written) == before
