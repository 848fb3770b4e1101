"""What the server of the copies cannot restore is named before it is tried, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from mantis_runbook import sandbox
from mantis_runbook.checks import restorable
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target


@contextmanager
def _database(server: Server, statements: str, options: str = "") -> Iterator[Connection]:
    """A database of these contents, and a session of ours in it."""
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE wanting TEMPLATE template0 {options}".encode())
    try:
        place = Target("wanting", "variable", server.parameters | {"dbname": "wanting"})
        with connect(place, "test", row_security="on") as connection:
            connection.execute(statements.encode())
            yield connection
    finally:
        sandbox.drop(server, "wanting")


def _found(target: Connection, scratch: Server) -> list[str]:
    with connect(Target("scratch", "variable", scratch.parameters), "test") as connection:
        return [str(finding) for finding in restorable.unrestorable(target, connection)]


def test_a_server_beside_the_target_lacks_nothing_that_the_target_uses(
    server: Server, baseline: Connection
) -> None:
    with connect(
        Target("here", "variable", server.parameters | {"dbname": baseline.info.dbname}), "test"
    ) as target:
        assert _found(target, server) == []


def test_what_another_server_lacks_is_named_with_what_needs_it_and_the_way_out(
    server: Server, own_server: Callable[..., Server]
) -> None:
    other = own_server()
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute("CREATE ROLE bookkeeper")
        connection.execute("CREATE TABLESPACE cellar LOCATION ''")
    try:
        statements = """
            CREATE TABLE ledger (id integer) TABLESPACE cellar;
            ALTER TABLE ledger OWNER TO bookkeeper;
            CREATE TABLE cash (id integer);
            ALTER TABLE cash ENABLE ROW LEVEL SECURITY;
            CREATE POLICY theirs ON cash TO bookkeeper USING (true);
            ALTER DATABASE wanting SET default_tablespace = 'cellar'
        """
        with _database(server, statements) as target:
            found = _found(target, other)
        assert [text.split(":")[0] for text in found] == [
            "role bookkeeper",
            "tablespace cellar",
            "default_tablespace",
        ]
        assert "policy theirs on table cash" in found[0] and "table ledger" in found[0]
        assert "globals.sql of any backup has all roles" in found[0]
        assert "needed by public.ledger: CREATE TABLESPACE of that name there" in found[1]
    finally:
        with psycopg.connect(**server.parameters, autocommit=True) as connection:
            connection.execute("DROP TABLESPACE cellar")
            connection.execute("DROP ROLE bookkeeper")


def test_an_extension_that_is_newer_than_what_a_restore_makes_is_named_also_beside_the_target(
    server: Server,
) -> None:
    with _database(server, "CREATE EXTENSION hstore") as target:
        target.execute("UPDATE pg_extension SET extversion = '99.1' WHERE extname = 'hstore'")
        target.execute(
            "INSERT INTO pg_extension SELECT 90001, 'cloud_only', 10, 2200, false, '1.0'"
        )
        found = _found(target, server)
    assert (
        found[0]
        == "extension cloud_only: not offered by the server that restores: install its package"
        " there"
    )
    assert found[1].startswith("extension hstore: version 99.1 here, and a restore makes 1.8")
    assert len(found) == 2


def test_an_older_extension_is_restored_at_the_newer_version(server: Server) -> None:
    with _database(server, "CREATE EXTENSION hstore VERSION '1.4'") as target:
        assert _found(target, server) == []


def test_what_was_built_with_more_libraries_is_not_restored_on_a_server_with_fewer(
    server: Server, newest_server: Server
) -> None:
    """Debian's 15 has lz4, ICU and xml; the wheel's 18 has none of them. A server of the same build
    has what it needs.
    """
    with psycopg.connect(**server.parameters) as connection:
        has_icu = (
            connection.execute("SELECT 1 FROM pg_collation WHERE collname = 'de-x-icu'").fetchone()
            is not None
        )
    if not has_icu or server.version == newest_server.version:
        pytest.skip("this server was built without ICU, or there is no newer one")
    statements = """
        CREATE TABLE letter (id integer, body text COMPRESSION lz4, envelope xml,
            title text COLLATE "de-x-icu");
        CREATE COLLATION ours (provider = icu, locale = 'sv');
        CREATE DOMAIN surname AS text COLLATE ours
    """
    with _database(
        server, statements, "LOCALE_PROVIDER icu ICU_LOCALE 'en' LC_COLLATE 'C' LC_CTYPE 'C'"
    ) as target:
        found = _found(target, newest_server)
        assert _found(target, server) == []
    assert [text.split(":")[0] for text in found] == [
        "ICU de-x-icu",
        "ICU ours",
        "body",
        "envelope",
        "locale en",
    ]
    assert (
        "compressed with lz4, which this server was built without; needed by column body of"
        " public.letter" in found[2]
    )
    assert (
        "xml, which this server was built without; needed by column envelope of public.letter"
        in found[3]
    )
    assert "needed by collation ours, type surname" in found[1]


def test_an_older_server_is_no_place_for_copies(newest_server: Server, server: Server) -> None:
    if server.version >= newest_server.version:
        pytest.skip("there is no older server")
    with _database(newest_server, "SELECT 1") as target:
        assert _found(target, server)[0].startswith(
            f"PostgreSQL {server.version}: older than the target's"
        )
