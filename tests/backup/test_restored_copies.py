"""What a restored copy may lack is left out and named; what a server cannot do with a good copy
fails no backup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from mantis_runbook.backup import backup
from mantis_runbook.backup.backup import Proof
from mantis_runbook.backup.scratch import create_scratch, drop_scratch
from mantis_runbook.errors import BackupNotProven
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target


def proven(target: Target, folder: Path) -> Proof:
    taken = backup.take(target, folder)
    try:
        return backup.prove(taken, create_scratch(target, "mantis_scratch_restored"))
    finally:
        drop_scratch(target, "mantis_scratch_restored")


def execute(target: Target, statement: str) -> None:
    with psycopg.connect(**target.parameters, autocommit=True) as connection:  # type: ignore[arg-type]
        connection.execute(statement.encode())


@contextmanager
def as_owner(target: Target) -> Iterator[Target]:
    """A role that owns what it makes in this database, may create others, and is no superuser."""
    name = target.parameters["dbname"]
    execute(
        target,
        f"CREATE ROLE plain_owner LOGIN CREATEDB; ALTER DATABASE {name} OWNER TO plain_owner",
    )
    try:
        yield Target("TEST_DSN", "variable", target.parameters | {"user": "plain_owner"})
    finally:
        execute(
            target,
            "REASSIGN OWNED BY plain_owner TO mantis; DROP OWNED BY plain_owner; DROP ROLE"
            " plain_owner",
        )


def test_an_extension_that_the_copy_cannot_have_is_left_out_and_named(
    empty_database: Target, tmp_path: Path
) -> None:
    """Only a superuser may create this extension: whoever restores without being one, restores
    without it.
    """
    with as_owner(empty_database) as owner:
        execute(
            empty_database,
            "CREATE EXTENSION pg_stat_statements; GRANT SELECT ON pg_stat_statements TO"
            " plain_owner",
        )
        execute(owner, "CREATE TABLE kept AS SELECT n FROM generate_series(1, 100) AS n")
        execute(
            owner,
            "CREATE VIEW slow AS SELECT query FROM pg_stat_statements; COMMENT ON VIEW slow IS 'a'",
        )
        proof = proven(owner, tmp_path / "one")
        assert proof.is_valid, (proof.content.message, str(proof.catalogue))
        assert [verdict.table for verdict in proof.content.verdicts] == ["public.kept"]
        [left] = proof.left_out
        assert left.extension == "pg_stat_statements"
        assert [text for text in left.texts if text.startswith("VIEW public slow")]
        assert proof.notes[0].startswith(
            "extension pg_stat_statements is left out of the copy, with "
        )
        assert "permission denied to create extension" in proof.notes[0]

        execute(owner, "CREATE TABLE fast AS SELECT s FROM pg_stat_statements AS s")
        with pytest.raises(
            BackupNotProven, match=r"needs extension pg_stat_statements.*TABLE public fast"
        ):
            proven(owner, tmp_path / "two")


def test_pg_cron_lives_in_one_database_and_the_copy_is_proven_without_it(
    server_programs: Path, own_server: Callable[..., Server], tmp_path: Path
) -> None:
    if "/usr/lib/postgresql/" not in str(server_programs) or not list(
        Path("/usr/share/postgresql").glob(
            f"{server_programs.parent.name}/extension/pg_cron.control"
        )
    ):
        pytest.skip("pg_cron is not installed for this server")
    running = own_server(**{"shared_preload_libraries": "pg_cron", "cron.database_name": "app"})
    with psycopg.connect(**running.parameters, autocommit=True) as connection:
        connection.execute("CREATE DATABASE app")
    target = Target("app", "variable", running.parameters | {"dbname": "app"})
    execute(
        target,
        "CREATE EXTENSION pg_cron; CREATE TABLE kept AS SELECT n FROM generate_series(1, 100) AS"
        " n;CREATE ROLE worker; GRANT USAGE ON SCHEMA cron TO worker; GRANT SELECT ON cron.job TO"
        " worker;SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM')",
    )
    proof = proven(target, tmp_path / "backup")
    assert proof.is_valid, (proof.content.message, str(proof.catalogue))
    assert (
        "pg_cron" in proof.notes[0]
        and "can only create extension in database app" in proof.notes[0]
    )
    assert any(text.startswith("TABLE DATA cron job ") for text in proof.left_out[0].texts)


def test_an_extension_older_than_the_servers_default_is_a_note(
    empty_database: Target, tmp_path: Path
) -> None:
    execute(
        empty_database, "CREATE EXTENSION hstore VERSION '1.4'; CREATE TABLE kept (pair hstore)"
    )
    proof = proven(empty_database, tmp_path / "backup")
    assert proof.is_valid, str(proof.catalogue)
    assert proof.notes[0].startswith("extension hstore is of version 1.4 in the database and 1.")


def test_a_table_that_cannot_be_analysed_is_named_and_the_others_have_statistics(
    empty_database: Target, tmp_path: Path
) -> None:
    execute(
        empty_database,
        "CREATE FUNCTION helper(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 /"
        " 2';CREATE FUNCTION half(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN"
        " RETURN helper($1); END';CREATE TABLE broken (id integer); CREATE STATISTICS st ON"
        " half(id) FROM broken;INSERT INTO broken SELECT generate_series(1, 100);CREATE TABLE sound"
        " AS SELECT n FROM generate_series(1, 100) AS n",
    )
    taken = backup.take(empty_database, tmp_path / "backup")
    copy = create_scratch(empty_database, "mantis_scratch_analysed")
    try:
        proof = backup.prove(taken, copy)
        with psycopg.connect(**copy.parameters) as connection:  # type: ignore[arg-type]
            version = connection.info.server_version
            analysed = connection.execute(
                "SELECT tablename FROM pg_stats WHERE schemaname = 'public'"
            ).fetchall()
    finally:
        drop_scratch(empty_database, "mantis_scratch_analysed")
    assert proof.is_valid
    assert ("sound",) in analysed
    assert [
        note for note in proof.notes if note.startswith("table public.broken has no statistics")
    ] or version < 170_000


def test_settings_of_the_database_that_the_copy_lacks_are_a_note(
    empty_database: Target, tmp_path: Path
) -> None:
    name = sql.Identifier(empty_database.parameters["dbname"]).as_string()
    execute(
        empty_database,
        f"CREATE TABLE kept (id integer); ALTER DATABASE {name} SET work_mem = '7MB'",
    )
    assert proven(empty_database, tmp_path / "backup").is_valid
