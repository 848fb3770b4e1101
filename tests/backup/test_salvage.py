"""Salvage: what only a rollback's victims hold is written down, read back, and can be brought
back.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from workbench import Bench, beside, wait_for

from mantis_runbook.backup import salvage
from mantis_runbook.backup.salvage import Salvage
from mantis_runbook.engine import seal
from mantis_runbook.engine.fence import hold
from mantis_runbook.errors import Failed, LockNotObtained
from mantis_runbook.postgres import catalog, commands
from mantis_runbook.postgres.catalog import Catalog
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import Server

#: Values that a careless format would lose or change.
NASTY = [
    (1, "plain"),
    (2, None),
    (3, ""),
    (4, "\\N"),
    (5, "\\."),
    (6, "before\n\\.\nafter"),
    (7, 'quote " comma , tab \t return \r end'),
    (8, "Ünïcødé 💸 "),
    (9, "NULL"),
]


@pytest.fixture
def before(bench: Bench) -> Catalog:
    bench.sql("CREATE TABLE bare (a integer, b json)")
    bench.sql("""INSERT INTO bare VALUES (1, '{"x": 1}'), (NULL, '{}'), (2, NULL)""")
    return snapshot(bench)


def snapshot(bench: Bench) -> Catalog:
    with bench.connect() as connection:
        return catalog.snapshot(connection)


def take(bench: Bench, before: Catalog, folder: Path, spared: Sequence[str] = ()) -> Salvage:
    with connect(bench.target, "salvage") as connection:
        return salvage.take(connection, salvage.losses(connection, before, spared=spared), folder)


def restore(bench: Bench, folder: Path) -> subprocess.CompletedProcess[str]:
    psql = commands.command("psql", bench.target, "--quiet", "--file=restore.sql")
    return subprocess.run(
        psql.arguments, cwd=folder, env=psql.environment, capture_output=True, text=True
    )


def made(bench: Bench) -> None:
    """What a migration makes."""
    bench.sql(
        "CREATE TABLE fresh (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text, twice"
        " bigint GENERATED ALWAYS AS (id * 2) STORED)"
    )
    bench.sql("CREATE TABLE nothing_in_it (id integer)")
    bench.sql('CREATE TABLE "Odd / ""Näme" (serial serial, "a:b" jsonb)')
    bench.sql(
        "CREATE TABLE log (id bigint, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)"
    )
    bench.sql(
        "CREATE TABLE log_2025 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"
    )
    bench.sql("ALTER TABLE old ADD COLUMN currency text, ADD COLUMN unused text")
    bench.sql("CREATE TABLE IF NOT EXISTS bare (a integer, b json)")
    bench.sql("ALTER TABLE bare ADD COLUMN c integer")


def filled(bench: Bench) -> None:
    """What the application writes there."""
    with bench.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO fresh (id, text) OVERRIDING SYSTEM VALUE VALUES (%s, %s)", NASTY
        )
        cursor.execute("""INSERT INTO "Odd / ""Näme" ("a:b") VALUES ('{"k": [1, null]}'), (NULL)""")
        cursor.execute(
            "INSERT INTO log SELECT n, date '2025-05-01' + n::integer FROM generate_series(1, 9)"
            " AS n"
        )
        cursor.execute(
            "UPDATE old SET currency = CASE id % 3 WHEN 0 THEN 'ZAR' WHEN 1 THEN 'USD' END"
        )
        cursor.execute("UPDATE bare SET c = coalesce(a, 0) + 10")


CONTENT = (
    "SELECT * FROM fresh ORDER BY id",
    """SELECT * FROM "Odd / ""Näme" ORDER BY serial""",
    "SELECT * FROM log ORDER BY id",
    "SELECT id, currency, touched FROM old ORDER BY id",
    "SELECT a, b::text, c FROM bare ORDER BY a",
)


def content(bench: Bench) -> list[list[tuple[Any, ...]]]:
    return [bench.sql(query) for query in CONTENT]


def dropped(bench: Bench) -> None:
    for one in ("fresh", "nothing_in_it", '"Odd / ""Näme"', "log"):
        bench.sql(f"DROP TABLE {one}")
    bench.sql("ALTER TABLE old DROP COLUMN currency, DROP COLUMN unused")
    bench.sql("ALTER TABLE bare DROP COLUMN c")


def test_rows_of_new_tables_and_columns_come_back(
    bench: Bench, before: Catalog, server: Server, tmp_path: Path
) -> None:
    made(bench)
    filled(bench)
    wanted = content(bench)
    kept = take(bench, before, tmp_path / "salvage")
    assert {(file.table, file.column, file.rows) for file in kept.files} == {
        ("public.fresh", "", 9),
        ('public.Odd / "Näme', "", 2),
        ("public.log", "", 9),
        ("public.old", "currency", 667),
        ("public.bare", "c", 3),
    }
    assert kept.rows == 9 + 2 + 9 + 667 + 3
    dropped(bench)
    made(bench)
    done = restore(bench, kept.folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert content(bench) == wanted
    bench.sql("INSERT INTO fresh (text) VALUES ('next')")
    assert bench.value("SELECT max(id) FROM fresh") == 10, (
        "the sequence goes on after what came back"
    )


def test_files_are_private_and_empty_tables_leave_none(
    bench: Bench, before: Catalog, tmp_path: Path
) -> None:
    made(bench)
    kept = take(bench, before, tmp_path / "salvage")
    assert kept.files == ()
    assert [path.name for path in kept.folder.iterdir()] == ["restore.sql"]
    assert kept.folder.stat().st_mode & 0o777 == 0o700


def test_a_row_that_the_migration_makes_anew_gives_way_to_the_salvaged_one(
    bench: Bench, before: Catalog, server: Server, tmp_path: Path
) -> None:
    bench.sql("CREATE TABLE rate AS SELECT 'ZAR' AS code, 1 AS value")
    bench.sql("ALTER TABLE rate ADD PRIMARY KEY (code)")
    bench.sql("UPDATE rate SET value = 19")
    kept = take(bench, before, tmp_path / "salvage")
    bench.sql("UPDATE rate SET value = 1")
    assert restore(bench, kept.folder).returncode == 0
    assert bench.sql("SELECT code, value FROM rate") == [("ZAR", 19)]


def test_a_restore_that_fails_says_so_and_changes_nothing(
    bench: Bench, before: Catalog, server: Server, tmp_path: Path
) -> None:
    made(bench)
    filled(bench)
    kept = take(bench, before, tmp_path / "salvage")
    bench.sql("TRUNCATE fresh")
    bench.sql("DROP TABLE log")
    done = restore(bench, kept.folder)
    assert done.returncode != 0
    assert 'relation "public.log" does not exist' in done.stderr
    assert bench.value("SELECT count(*) FROM fresh") == 0


def test_what_others_made_is_not_salvaged(bench: Bench, before: Catalog, tmp_path: Path) -> None:
    made(bench)
    filled(bench)
    kept = take(bench, before, tmp_path / "salvage", spared=["public.fresh", "public.old.currency"])
    assert {(file.table, file.column) for file in kept.files} == {
        ('public.Odd / "Näme', ""),
        ("public.log", ""),
        ("public.bare", "c"),
    }


def test_a_new_key_finds_no_old_rows_again(
    bench: Bench, before: Catalog, server: Server, tmp_path: Path
) -> None:
    """A column that became the primary key is new itself: rows are found by what they held
    before.
    """
    change = "ALTER TABLE bare ADD COLUMN id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
    bench.sql(change)
    bench.sql("UPDATE bare SET id = id + 100")
    wanted = bench.sql("SELECT a, b::text, id FROM bare ORDER BY id")
    kept = take(bench, before, tmp_path / "salvage")
    bench.sql("ALTER TABLE bare DROP COLUMN id")
    bench.sql(change)
    assert restore(bench, kept.folder).returncode == 0
    assert bench.sql("SELECT a, b::text, id FROM bare ORDER BY id") == wanted


def test_a_file_that_does_not_read_back_stops_everything(
    bench: Bench, before: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(bench)
    filled(bench)
    read_back: Callable[..., Any] = salvage._read_back

    def damaged(connection: Any, loss: Any, path: Path) -> Any:
        path.write_bytes(path.read_bytes().replace(b"plain", b"plaim"))
        return read_back(connection, loss, path)

    monkeypatch.setattr(salvage, "_read_back", damaged)
    with pytest.raises(
        Failed,
        match=(
            "salvage of public.fresh does not read back: found 9 rows, expected 9 rows; nothing was"
            " dropped"
        ),
    ):
        take(bench, before, tmp_path / "salvage")


def test_a_full_disk_is_said_and_nothing_is_dropped(
    bench: Bench, before: Catalog, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root alone")
    made(bench)
    bench.sql("INSERT INTO fresh (text) SELECT md5(n::text) FROM generate_series(1, 5000) AS n")
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path / "disk")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        with pytest.raises(
            Failed,
            match="rows that the rollback would lose could not be salvaged .* found No space left",
        ):
            take(bench, before, tmp_path / "disk" / "salvage")
    finally:
        subprocess.run(["umount", "-l", tmp_path / "disk"], check=True)


# -- seals -----------------------------------------------------------------------------------------


@contextmanager
def sealed(bench: Bench, *tables: str) -> Iterator[None]:
    with connect(bench.target, "rollback") as connection:
        seal.seal(connection, tables)
        yield
        seal.unseal(connection)


WRITES = (
    "INSERT INTO fresh (text) VALUES ('late')",
    "UPDATE fresh SET text = 'late'",
    "DELETE FROM fresh",
    "TRUNCATE fresh",
    "INSERT INTO log VALUES (1, '2025-01-01')",
    "INSERT INTO log_2025 VALUES (2, '2025-01-01')",
    "TRUNCATE log",
)


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_a_sealed_table_takes_no_write_of_anybody(bench: Bench, role: str) -> None:
    made(bench)
    with bench.connect(session_replication_role=role) as superuser:
        with sealed(bench, "public.fresh", "public.log", "public.not_there"):
            for write in WRITES:
                with pytest.raises(
                    psycopg.errors.ObjectNotInPrerequisiteState, match="takes no more writes"
                ):
                    superuser.execute(write)
            superuser.execute("SELECT * FROM fresh")
        for write in WRITES:
            superuser.execute(write)


def test_the_rollback_itself_may_write(bench: Bench) -> None:
    made(bench)
    with sealed(bench, "public.fresh"), bench.connect() as connection:
        connection.execute("SET mantis_runbook.rolling_back = 'on'")
        connection.execute("INSERT INTO fresh (text) VALUES ('by the rollback')")


def test_a_seal_gives_way_and_names_the_table_at_its_deadline(bench: Bench) -> None:
    made(bench)
    with bench.connect() as writer, connect(bench.target, "rollback") as connection:
        writer.execute("BEGIN")
        writer.execute("INSERT INTO fresh (text) VALUES ('not yet')")
        with pytest.raises(LockNotObtained, match="could not seal public.fresh"):
            seal.seal(connection, ["public.fresh"], patience_s=0.5)
        with beside(lambda: seal.seal(connection, ["public.fresh"], patience_s=30)) as sealing:
            wait_for(
                lambda: bench.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), "the seal to wait"
            )
            writer.execute("COMMIT")
    assert sealing.error is None
    assert bench.value("SELECT count(*) FROM fresh") == 1, (
        "what was being written is there before the seal is"
    )


def test_any_runner_takes_the_seals_of_a_killed_rollback_off(bench: Bench) -> None:
    made(bench)
    with connect(bench.target, "rollback") as connection:
        seal.seal(connection, ["public.fresh", "public.log"])
    with hold(bench.target, "run-1", "Ada"):
        bench.sql("INSERT INTO fresh (text) VALUES ('again')")
    assert bench.sql("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []
