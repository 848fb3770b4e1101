"""What a database, a role or a server sets for sessions changes neither what ours read and write
nor how long they live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from project import Project, execute
from psycopg import sql
from psycopg.conninfo import make_conninfo
from workbench import Bench

from mantis_runbook import sandbox, settings
from mantis_runbook.backup import backup, likeness
from mantis_runbook.backup.scratch import create_scratch, drop_scratch
from mantis_runbook.checks import named_checks
from mantis_runbook.errors import TargetError
from mantis_runbook.postgres import commands
from mantis_runbook.postgres.connection import SESSION, connect, is_lost, refuse_read_only
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.session_settings import ABSENT_IN_SOME
from mantis_runbook.postgres.target import Target
from tests.journeys.test_bad_input import refused

#: Each would break a session of ours, a program, or the comparison of two databases.
HOSTILE = {
    "client_encoding": "LATIN1",
    "statement_timeout": "500ms",
    "idle_session_timeout": "500ms",
    "idle_in_transaction_session_timeout": "500ms",
    "lock_timeout": "500ms",
    "search_path": 'reporting, "$user", public',
    "session_replication_role": "replica",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Africa/Johannesburg",
    "bytea_output": "escape",
    "extra_float_digits": "-5",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "backslash_quote": "off",
    "standard_conforming_strings": "off",
    "check_function_bodies": "off",
    "row_security": "on",
    "exit_on_error": "on",
    "gin_fuzzy_search_limit": "1",
    "xmloption": "document",
    "plpgsql.variable_conflict": "use_column",
    "plpgsql.check_asserts": "off",
    "plpgsql.extra_errors": "all",
    "app.current_org_id": "nobody's",
}


def _hostile(server: Server) -> dict[str, str]:
    return HOSTILE | ({"transaction_timeout": "500ms"} if server.version >= 17 else {})


@pytest.fixture
def beset(bench: Bench, server: Server) -> Bench:
    """A database with all of these, and with text that LATIN1 has not."""
    name = sql.Identifier(bench.target.parameters["dbname"])
    with bench.connect() as connection:
        connection.execute("LOAD 'plpgsql'")
        connection.execute(
            "CREATE ROLE tenant_of_beset; UPDATE old SET name = 'naïve – 東京' WHERE id = 7"
        )
        for setting, value in _hostile(server).items():
            values = (
                sql.SQL(", ").join(likeness._listed(value))
                if setting == "search_path"
                else sql.Literal(value)
            )
            statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(statement.format(name, sql.Identifier(*setting.split(".")), values))
        connection.execute(
            sql.SQL("ALTER ROLE tenant_of_beset IN DATABASE {} SET work_mem = '1MB'").format(name)
        )
        connection.execute(
            sql.SQL("GRANT CREATE, CONNECT ON DATABASE {} TO tenant_of_beset").format(name)
        )
        connection.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
    yield bench
    sandbox.drop(server, bench.target.parameters["dbname"])
    execute(Target("", "variable", server.parameters), "DROP ROLE tenant_of_beset")


def test_no_setting_of_a_database_reaches_a_session_of_ours(beset: Bench) -> None:
    with connect(beset.target, "test") as connection:
        assert connection.info.encoding == "utf-8"
        for name, value in SESSION.items():
            row = connection.execute(
                "SELECT current_setting(%s, %s)", (name, name in ABSENT_IN_SOME)
            ).fetchone()
            assert row in ((value,), (None,)), name
        assert named_checks.run(connection, 0, ["session_settings"]).verdict == "pass"
        (result,) = named_checks.run(connection, 0, ["settings_of_the_database"]).results
        assert [str(one) for one in result.found] == [
            "this database: session_replication_role=replica"
        ]


def test_a_backup_of_such_a_database_is_proven_and_its_copy_has_the_same_settings(
    beset: Bench, tmp_path: Path
) -> None:
    taken = backup.take(beset.target, tmp_path / "backup", derived=True)
    try:
        copy = create_scratch(beset.target, "mantis_scratch_beset", taken.likeness)
        proof = backup.prove(taken, copy)
        assert proof.is_valid, (proof.content.message, str(proof.catalogue))
        assert [note for note in proof.notes if note.startswith("the copy lacks")] == []
        with connect(beset.target, "test") as original, connect(copy, "test") as restored:
            before, after = likeness.read(original), likeness.read(restored)
        assert after.settings == before.settings
        assert {one.name for one in after.settings} >= {
            "search_path",
            "work_mem",
            "session_replication_role",
        }
        assert [right for right in before.rights if right[1] != "CONNECT"] == [
            ("tenant_of_beset", "CREATE", False)
        ]
        assert [right for right in after.rights if right[1] != "CONNECT"] == [
            ("tenant_of_beset", "CREATE", False)
        ]
        assert ("tenant_of_beset", "CONNECT", False) not in after.rights
        empty = create_scratch(beset.target, "mantis_scratch_beset", taken.likeness)
        assert backup.prove_derived(taken, empty).is_equal
    finally:
        drop_scratch(beset.target, "mantis_scratch_beset")


def test_a_migration_is_applied_and_rolled_back_there(beset: Bench) -> None:
    migration = beset.migration(
        "-- step: fresh\nCREATE TABLE fresh (id bigint PRIMARY KEY, note text);\n"
        "-- step: an index outside\nCREATE INDEX CONCURRENTLY fresh_note ON fresh (note);\n"
    )
    beset.up(migration)
    with connect(beset.target, "test") as connection:
        assert connection.execute(
            "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'fresh'"
        ).fetchone() == ("public",)
    beset.rollback(migration)


def test_a_copy_has_the_encoding_and_the_locale_of_its_original(
    server: Server, tmp_path: Path
) -> None:
    provider = " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'" if server.version >= 17 else ""
    for options in (
        " ENCODING 'LATIN1' LOCALE 'C'",
        f" ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'{provider}",
    ):
        with psycopg.connect(**server.parameters, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE shaped TEMPLATE template0{options}".encode())
        target = Target("shaped", "variable", server.parameters | {"dbname": "shaped"})
        try:
            with connect(target, "test") as connection:
                connection.execute(
                    "CREATE TABLE guest (name text); INSERT INTO guest VALUES ('Zoë')"
                )
                like = likeness.read(connection)
            taken = backup.take(target, tmp_path / like.encoding)
            copy = create_scratch(target, "mantis_scratch_shaped", taken.likeness)
            assert backup.prove(taken, copy).is_valid
            with connect(copy, "test") as connection:
                apart = tuple(
                    right for right in like.rights if right[1] != "CONNECT"
                )  # nobody else has business in a copy
                assert likeness.read(connection) == replace(like, rights=apart)
                assert connection.execute("SELECT name FROM guest").fetchone() == ("Zoë",)
        finally:
            drop_scratch(target, "mantis_scratch_shaped")
            sandbox.drop(server, "shaped")


def test_a_setting_that_the_copy_s_server_refuses_is_named_and_nothing_fails(
    bench: Bench, server: Server
) -> None:
    copy = create_scratch(bench.target, "mantis_scratch_refusing")
    unknown = likeness.Setting("", "default_table_access_method", "columnar")
    stranger = likeness.Setting("nobody_here", "work_mem", "1MB")
    try:
        with connect(copy, "test") as connection:
            refusals = likeness.dress(connection, likeness.Likeness(settings=(unknown, stranger)))
    finally:
        drop_scratch(bench.target, "mantis_scratch_refusing")
    assert str(likeness.Setting("", "app.jwt_secret", "hunter2")) == "app.jwt_secret = …"
    assert refusals[-1] == 'work_mem = 1MB of role nobody_here (role "nobody_here" does not exist)'


def test_programs_are_given_the_settings_that_their_server_has(
    bench: Bench, server: Server
) -> None:
    """Behind what the connection string itself says, so that ours decide."""
    target = Target("TEST_DSN", "variable", bench.target.parameters | {"options": "-c geqo=off"})
    environment = commands.command("psql", target, settings={"DateStyle": "ISO, YMD"}).environment
    assert environment["PGCLIENTENCODING"] == "UTF8"
    assert environment["PGOPTIONS"].startswith("-c geqo=off -c statement_timeout=0 ")
    assert ("transaction_timeout" in environment["PGOPTIONS"]) == (server.version >= 17)
    with psycopg.connect(**server.parameters, options=environment["PGOPTIONS"]) as connection:
        asked = (
            "SELECT current_setting('geqo'), current_setting('lc_monetary'),"
            " current_setting('DateStyle')"
        )
        assert connection.execute(asked).fetchone() == ("off", "C", "ISO, YMD")


# -- sessions that were ended ----------------------------------------------------------------------


def test_a_session_that_a_timeout_ended_is_a_lost_one_whatever_class_its_error_has(
    bench: Bench,
) -> None:
    with connect(bench.target, "test", idle_in_transaction_session_timeout="50ms") as connection:
        with pytest.raises(psycopg.Error) as ended, connection.transaction():
            connection.execute("SELECT 1")
            bench.sql("SELECT pg_sleep(0.3)")
            connection.execute("SELECT 1")
        assert is_lost(connection, ended.value)
    with connect(bench.target, "test") as connection:
        with pytest.raises(psycopg.Error) as failed:
            connection.execute("SELECT 1 / 0")
        assert not is_lost(connection, failed.value)


# -- where nothing can be read, or shall be written ------------------------------------------------

COMMANDS = [["run", "--phases", "0"], ["plan"], ["status"], ["rollback", "001"]]


@pytest.fixture(scope="module")
def ascii_database(newest_server: Server) -> Iterator[dict[str, str]]:
    with psycopg.connect(**newest_server.parameters, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE plain TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
        )
        connection.execute(
            "CREATE DATABASE mule TEMPLATE template0 ENCODING 'MULE_INTERNAL' LOCALE 'C'"
        )
    yield newest_server.parameters
    sandbox.drop(newest_server, "plain")
    sandbox.drop(newest_server, "mule")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize(("name", "encoding"), [("plain", "SQL_ASCII"), ("mule", "MULE_INTERNAL")])
def test_a_database_that_cannot_be_read_as_text_is_refused(
    ascii_database: dict[str, str], name: str, encoding: str, words: list[str], project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TEST_DSN", make_conninfo(**ascii_database | {"dbname": name}))
    refused(
        project.call(*words, "--target", "TEST_DSN"),
        "in an encoding that cannot be read as text", encoding, "expected UTF8",
        "restore it into a database",
    )  # fmt: skip
    assert project.runs() == []


@pytest.mark.parametrize("words", [["run", "--phases", "0"], ["plan"]], ids=lambda words: words[0])
def test_a_database_that_is_closed_for_writing_is_refused(
    words: list[str], project: Project, unprepared: Target
) -> None:
    name = unprepared.parameters["dbname"]
    execute(unprepared, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    refused(
        project.call(*words, "--target", "TEST_DSN", "--environment", "development"),
        "target TEST_DSN is read-only", "default_transaction_read_only = on, set by database",
        "find out why",
    )  # fmt: skip
    assert project.runs() == []
    assert project.call("status", "--target", "TEST_DSN").exit_code == 0


def test_a_standby_is_refused(own_newest_server: Callable[..., Server]) -> None:
    server = own_newest_server()
    server.stop("fast")
    (server.data / "standby.signal").touch()
    server.start()
    target = Target("standby", "variable", server.parameters)
    with (
        connect(target, "test") as connection,
        pytest.raises(TargetError, match=r"is a standby.*name the primary"),
    ):
        refuse_read_only(connection, target)


# -- what is sent to the server --------------------------------------------------------------------


def test_all_sql_that_is_sent_to_a_target_is_ascii() -> None:
    """A database in LATIN1 has no ellipsis: the server refuses a statement, or a comment in it,
    that it cannot convert.
    """
    sent = [
        path
        for path in settings.sql().rglob("*.sql")
        if path.parent.name not in ("checks", "application", "baseline")
    ]
    assert len(sent) > 100
    assert [str(path) for path in sent if not path.read_text().isascii()] == []
    assert [check.name for check in named_checks.load() if not check.text.isascii()] == []
