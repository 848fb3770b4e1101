"""What is learnt from pg_stat_statements: the application's own statements and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from mantis_runbook import settings
from mantis_runbook.checks import learnt_statements
from mantis_runbook.checks.tenants.acting import NOBODY
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

EXTENSION = "CREATE SCHEMA odd; CREATE EXTENSION pg_stat_statements SCHEMA odd"


@contextmanager
def session(target: Target, role: str) -> Iterator[Connection]:
    """A session of the application, made as it makes them: a role of its own, nothing of our
    settings.
    """
    with psycopg.connect(**target.parameters, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        yield connection


@pytest.fixture
def recorded(database: Target) -> Iterator[Target]:
    """The baseline with the extension in a schema that nobody would guess, and two roles of an
    application.
    """
    with psycopg.connect(**database.parameters, autocommit=True) as connection:
        connection.execute(EXTENSION)
        connection.execute("SELECT odd.pg_stat_statements_reset()")
        for role in ("shop", "back_office"):
            connection.execute(f"CREATE ROLE {role}".encode())
            connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}".encode())
            connection.execute(
                f"GRANT ALL ON ALL FUNCTIONS IN SCHEMA public TO {role}; ALTER ROLE {role}"
                " BYPASSRLS".encode()
            )
    yield database
    with psycopg.connect(**database.parameters, autocommit=True) as connection:
        for role in ("shop", "back_office"):
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def learn(target: Target, **options: int) -> learnt_statements.Learnt:
    with connect(target, "test") as connection:
        return learnt_statements.statements(connection, **options)


def test_the_application_s_statements_are_learnt_most_frequent_first_with_the_role_they_ran_as(
    recorded: Target,
) -> None:
    with session(recorded, "shop") as shop, session(recorded, "back_office") as office:
        for number in range(3):
            shop.execute("SELECT name FROM customer WHERE status = 'active' LIMIT %s", (number,))
        for _ in range(2):
            office.execute("UPDATE supplier SET name = name WHERE false")
        office.execute("SELECT get_org_metrics('00000000-0000-0000-0000-000000000000')")
    found = learn(recorded)
    assert [(one.calls, one.role, one.kind) for one in found.statements] == [
        (3, "shop", "SelectStmt"),
        (2, "back_office", "UpdateStmt"),
        (1, "back_office", "SelectStmt"),
    ]
    assert "customer WHERE status = $" in found.statements[0].text
    shortened = learn(recorded, most=1)
    assert len(shortened.statements) == 1
    assert shortened.left_out["less frequent than these 1"] == 2
    assert "1 statements learnt" in str(shortened)


JUNK = (
    ("SET work_mem = '5MB'", "utility statements"),
    ("DO $$ BEGIN PERFORM count(*) FROM customer; END $$", "utility statements"),
    ("SELECT count(*) INTO TEMP counted FROM customer", "utility statements"),
    (
        "BEGIN; DECLARE c CURSOR FOR SELECT * FROM customer; FETCH 1 FROM c; COMMIT",
        "utility statements",
    ),
    ("COPY (SELECT 1) TO STDOUT", "utility statements"),
    (
        f"SELECT name FROM customer WHERE pg_advisory_lock(1) IS NULL AND id = '{NOBODY}'",
        "that call functions of the server which do more than read",
    ),
    ("SELECT 1 AS nothing", "that touch no table of the application"),
    ("SELECT count(*) FROM pg_class", "that touch no table of the application"),
    ("WITH c AS (SELECT 1 AS x) SELECT * FROM c", "that touch no table of the application"),
)


def test_junk_is_left_out_and_counted_by_its_reason(
    recorded: Target, server: Server, empty: Callable[[], Target]
) -> None:
    with session(recorded, "shop") as shop:
        shop.execute("SELECT name FROM customer LIMIT 1")
        for text, _ in JUNK:
            if text.startswith("COPY"):
                with shop.cursor().copy(text.encode()) as copy:
                    assert list(copy)
            else:
                shop.execute(text.encode())
        shop.execute(_of_length(1023))
    with session(recorded, "authenticated") as load:
        load.execute(f"SET load.org_id = '{NOBODY}'".encode())
        for text in _played_by_our_load():
            load.execute(text.encode())
    with psycopg.connect(**recorded.parameters, autocommit=True) as owner:
        owner.execute("SELECT name FROM supplier LIMIT 1")
        owner.execute("CREATE ROLE leaver SUPERUSER")
    with session(recorded, "leaver") as leaver:
        leaver.execute("SELECT name FROM supplier LIMIT 2")
    with psycopg.connect(**empty().parameters, autocommit=True) as other:
        other.execute("CREATE TABLE customer (name text); SET ROLE shop; RESET ROLE")
        other.execute("DROP ROLE leaver")
    found = learn(recorded)
    assert [one.text for one in found.statements] == ["SELECT name FROM customer LIMIT $1"]
    expected = {reason for _, reason in JUNK} | {
        "cut at track_activity_query_size",
        "of other databases",
        "of the role that the runbook itself works as",
        "of roles that were dropped",
        "of the runbook itself",
    }
    assert set(found.left_out) == expected
    assert found.left_out["that touch no table of the application"] == 3
    assert found.left_out["cut at track_activity_query_size"] == 1


def _of_length(size: int) -> bytes:
    """A statement that is read well, and whose end may yet be missing."""
    text = "SELECT count(*) FROM customer WHERE name = name"
    return (
        text + " " * (size - len(text) - len("AND email = email")) + "AND email = email"
    ).encode()


def _played_by_our_load() -> list[str]:
    """What a scenario of ours sends, without its variables."""
    texts = learnt_statements._texts(
        (settings.sql() / "workload" / "order_processing.sql").read_text()
    )
    return [
        text
        for text in texts
        if text.strip().startswith("SELECT id, po_number") and "load.org_id" in text
    ]


@pytest.fixture
def empty(server: Server) -> Iterator[Callable[[], Target]]:
    """Makes another database of the same server."""
    with psycopg.connect(**server.parameters, autocommit=True) as connection:

        def make() -> Target:
            connection.execute("DROP DATABASE IF EXISTS stranger")
            connection.execute("CREATE DATABASE stranger TEMPLATE template0")
            return Target("STRANGER", "variable", server.parameters | {"dbname": "stranger"})

        yield make
        connection.execute("DROP DATABASE IF EXISTS stranger WITH (FORCE)")


def test_a_role_that_may_not_read_others_texts_is_told_what_to_grant(recorded: Target) -> None:
    with session(recorded, "shop") as shop:
        shop.execute("SELECT name FROM customer LIMIT 1")
    with psycopg.connect(**recorded.parameters, autocommit=True) as owner:
        owner.execute("GRANT USAGE ON SCHEMA odd TO back_office")
    with connect(recorded, "test") as connection:
        connection.execute("SET ROLE back_office")
        found = learnt_statements.statements(connection)
        connection.execute(
            "RESET ROLE; REVOKE SELECT ON odd.pg_stat_statements FROM PUBLIC; SET ROLE back_office"
        )
        closed = learnt_statements.statements(connection)
    assert found.statements == ()
    assert any("GRANT pg_read_all_stats" in reason for reason in found.left_out)
    assert "permission denied" in closed.unavailable


def test_where_nothing_was_recorded_it_says_why(
    database: Target, own_server: Callable[..., Server]
) -> None:
    assert "is not created in this database" in learn(database).unavailable
    bare = Target("TEST_DSN", "variable", own_server(shared_preload_libraries="").parameters)
    with psycopg.connect(**bare.parameters, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    assert "shared_preload_libraries" in learn(bare).unavailable
    assert str(learn(bare)).startswith("no statement learnt: ")
