"""Backups: one instant while the application writes, proven by restoring, and nothing half-written
or leaked.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from workbench import Bench, beside, wait_for

from mantis_runbook.backup import backup
from mantis_runbook.backup.backup import Backup, Proof
from mantis_runbook.backup.scratch import create_scratch, drop_scratch
from mantis_runbook.errors import BackupNotProven, ProgramError, Refused, RunbookError
from mantis_runbook.postgres import commands, programs
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

SECRET = "hunter2-geheim"


@contextmanager
def scratch(target: Target, name: str = "mantis_scratch_test") -> Iterator[Target]:
    try:
        yield create_scratch(target, name)
    finally:
        drop_scratch(target, name)


def proven(target: Target, taken: Backup) -> Proof:
    with scratch(target) as copy:
        return backup.prove(taken, copy)


@pytest.fixture
def small(bench: Bench) -> Bench:
    """Enough rows for a dump with several compressed blocks."""
    bench.sql("UPDATE old SET name = md5(id::text) || md5((id * 7)::text)")
    bench.sql("INSERT INTO old SELECT n, md5(n::text) FROM generate_series(1001, 20000) AS n")
    return bench


# -- one instant -----------------------------------------------------------------------------------


def test_a_dump_taken_while_the_application_writes_equals_its_snapshot(
    database: Target, tmp_path: Path
) -> None:
    over, bench = threading.Event(), Bench(database, tmp_path / "migrations")

    def write() -> int:
        written = 0
        with bench.connect() as connection:
            connection.execute("CREATE SEQUENCE numbers")
            connection.execute(
                "CREATE TABLE busy (id bigint PRIMARY KEY DEFAULT nextval('numbers'), note text)"
            )
            while not over.is_set():
                connection.execute(
                    "INSERT INTO busy (note) SELECT md5(random()::text) FROM generate_series(1, 20)"
                )
                connection.execute("DELETE FROM busy WHERE id % 7 = 0")
                connection.execute(
                    "UPDATE customer SET name = md5(random()::text) WHERE id = (SELECT id FROM"
                    " customer LIMIT 1)"
                )
                written += 1
        return written

    with beside(write) as writer:
        wait_for(
            lambda: bench.value("SELECT count(*) FROM pg_tables WHERE tablename = 'busy'"),
            "the writer",
        )
        try:
            taken = backup.take(database, tmp_path / "backup", derived=True)
        finally:
            over.set()
    assert writer.error is None
    assert writer.result > 5
    proof = proven(database, taken)
    assert proof.is_valid, (proof.content.message, str(proof.catalogue))
    names = {name.split("_2")[0] for name in taken.sizes}
    assert names == {
        "mantis_full",
        "mantis_schema",
        "mantis_data",
        "catalog.json",
        "extensions.json",
        "fingerprint.json",
        "database.json",
        "globals.sql",
        "restore_list.txt",
    }
    assert Backup.from_dict(taken.as_dict()) == taken
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700, "it holds personal data"


def test_a_backup_holds_no_snapshot_once_it_is_taken(small: Bench, tmp_path: Path) -> None:
    backup.take(small.target, tmp_path / "backup")
    assert (
        small.sql(
            "SELECT pid FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <>"
            " pg_backend_pid() AND datname = current_database()"
        )
        == []
    )


def test_a_folder_that_is_there_is_not_written_over(small: Bench, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "kept").write_text("kept")
    with pytest.raises(Refused, match="already exists; name another run"):
        backup.take(small.target, tmp_path / "backup")
    assert (tmp_path / "backup" / "kept").read_text() == "kept"


# -- the proof -------------------------------------------------------------------------------------


def flipped(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def test_every_changed_byte_is_found_before_anything_is_restored(
    small: Bench, tmp_path: Path
) -> None:
    taken = backup.take(small.target, tmp_path / "backup")
    original, size = taken.full.read_bytes(), taken.full.stat().st_size
    nowhere = small.target.database("no_such_database")
    for position in (0, 1, 5, *range(17, size, size // 40), size - 1):
        flipped(taken.full, position)
        with pytest.raises(BackupNotProven, match="found other bytes than were written"):
            backup.prove(taken, nowhere)
        taken.full.write_bytes(original)
    for length in (0, 1, size // 2, size - 1):
        taken.full.write_bytes(original[:length])
        with pytest.raises(BackupNotProven, match="look at the disk before you trust it"):
            backup.prove(taken, nowhere)
    taken.full.unlink()
    with pytest.raises(BackupNotProven):
        backup.prove(taken, nowhere)


def test_what_the_dump_is_compared_with_cannot_be_changed_either(
    small: Bench, tmp_path: Path
) -> None:
    taken = backup.take(small.target, tmp_path / "backup")
    for name in ("fingerprint.json", "catalog.json", "globals.sql"):
        flipped(taken.folder / name, 10)
        with pytest.raises(BackupNotProven, match=name):
            backup.prove(taken, small.target)
        flipped(taken.folder / name, 10)


def damaged(taken: Backup) -> Backup:
    """The backup as if the damage had been done before its checksum was taken."""
    return replace(taken, checksums=taken.checksums | {taken.full.name: backup.sha256(taken.full)})


def test_damage_from_before_the_checksum_is_found_by_restoring(
    small: Bench, tmp_path: Path
) -> None:
    taken = backup.take(small.target, tmp_path / "backup")
    size = taken.full.stat().st_size
    for share in (0.25, 0.5, 0.75):
        flipped(taken.full, int(size * share))
        with pytest.raises(
            BackupNotProven, match="does not restore: found pg_restore ended with exit code 1"
        ):
            proven(small.target, damaged(taken))
        flipped(taken.full, int(size * share))


def test_a_truncated_dump_that_lists_well_does_not_prove(small: Bench, tmp_path: Path) -> None:
    taken = backup.take(small.target, tmp_path / "backup")
    taken.full.write_bytes(taken.full.read_bytes()[: int(taken.full.stat().st_size * 0.9)])
    assert (
        subprocess.run(
            [programs.find("pg_restore", server=18), "--list", taken.full], capture_output=True
        ).returncode
        == 0
    )
    with pytest.raises(BackupNotProven, match="does not restore"):
        proven(small.target, damaged(taken))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE old SET name = 'another' WHERE id = 5", "old"),
        ("DROP TABLE old", "old"),
        ("SELECT nextval('turns')", "sequence turns stands at 6, expected 5"),
        ("ALTER SEQUENCE turns RESTART 5", "sequence turns stands at 5, not drawn yet, expected 5"),
        ("SELECT nextval('down')", "sequence down stands at -2, expected -1"),
        ("SELECT lo_put(4711, 3, 'x')", "large objects: 1 as expected, but their content differs"),
        ("SELECT lo_unlink(4711)", "large objects: 0 with 0 bytes, expected 1 with 5,000 bytes"),
    ],
)
def test_a_copy_that_is_not_the_snapshot_is_no_proof(
    small: Bench, tmp_path: Path, change: str, found: str
) -> None:
    """Another dump under this backup's name: it restores, and is not what the fingerprint says."""
    small.sql(
        "CREATE SEQUENCE turns START 5; CREATE SEQUENCE down INCREMENT -1; SELECT nextval('turns'),"
        " nextval('down')"
    )
    small.sql("SELECT lo_from_bytea(4711, convert_to(repeat('large', 1000), 'UTF8'))")
    taken = backup.take(small.target, tmp_path / "backup")
    small.sql(change)
    other = backup.take(small.target, tmp_path / "other")
    shutil.copy(other.full, taken.full)
    proof = proven(small.target, damaged(taken))
    assert not proof.is_valid
    assert found in proof.content.message


def test_a_catalogue_that_differs_is_no_proof(small: Bench, tmp_path: Path) -> None:
    taken = backup.take(small.target, tmp_path / "backup")
    small.sql("CREATE INDEX added_idx ON old (name)")
    other = backup.take(small.target, tmp_path / "other")
    shutil.copy(other.full, taken.full)
    proof = proven(small.target, damaged(taken))
    assert (proof.content.is_equal, proof.catalogue.is_empty, proof.is_valid) == (
        True,
        False,
        False,
    )


def test_rows_that_violate_a_foreign_key_are_named(small: Bench, tmp_path: Path) -> None:
    small.sql(
        "CREATE TABLE child (id integer PRIMARY KEY, old_id bigint CONSTRAINT child_of_old"
        " REFERENCES old)"
    )
    with small.connect(session_replication_role="replica") as connection:
        connection.execute("INSERT INTO child VALUES (1, 999999)")
    taken = backup.take(small.target, tmp_path / "backup")
    with pytest.raises(BackupNotProven) as caught:
        proven(small.target, taken)
    assert (
        f"backup {taken.full.name} does not restore: found pg_restore ended with exit code 1"
        in str(caught.value)
    )
    assert 'violates foreign key constraint "child_of_old"' in str(caught.value)
    assert f"the dump is kept at {taken.folder}" in str(caught.value)


# -- disk ------------------------------------------------------------------------------------------


@contextmanager
def full_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A disk of that size; where none can be mounted, a limit on the size of each file."""
    place = folder / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    if os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0:
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", place], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, before[1]))
    try:
        yield place
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kilobytes", [8, 64, 400], ids=["catalogue", "fingerprint", "dump"])
def test_a_full_disk_leaves_nothing_half_written(
    small: Bench, tmp_path: Path, kilobytes: int
) -> None:
    small.sql(
        "CREATE TABLE wide AS SELECT n, md5(n::text) || md5((n + 1)::text) AS text FROM"
        " generate_series(1, 20000) AS n"
    )
    with full_disk(tmp_path, kilobytes) as disk:
        with pytest.raises(Refused) as caught:
            backup.take(small.target, disk / "backup")
        assert list(disk.iterdir()) == []
    assert (
        f"the disk filled up under the backup in {disk / 'backup'}: found no space left on device"
        in str(caught.value)
    )
    assert "name another disk in MANTIS_RUNBOOK_BACKUPS; nothing half-written was kept" in str(
        caught.value
    )


@pytest.mark.parametrize(("factor", "fits"), [(0.0, True), (1e12, False)])
def test_too_little_disk_is_said_before_it_is_needed(
    small: Bench, tmp_path: Path, factor: float, fits: bool
) -> None:
    with small.connect() as connection:
        if fits:
            assert backup.refuse_full_disk(connection, tmp_path, factor) > 0
            return
        with pytest.raises(
            Refused,
            match="too little disk for a backup in .*MiB free, expected .* times the database",
        ):
            backup.refuse_full_disk(connection, tmp_path, factor)


def test_a_place_that_cannot_be_written_is_refused(small: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"cannot be written: found Not a directory"):
        backup.take(small.target, tmp_path / "file" / "backup")


# -- programs --------------------------------------------------------------------------------------


def fake_programs(folder: Path, script: str) -> Path:
    folder.mkdir()
    for name in ("pg_dump", "pg_restore", "pg_dumpall"):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            None,
            (
                "pg_dump was not found: expected pg_dump of PostgreSQL {major} or newer; install"
                " the PostgreSQL client"
            ),
        ),
        (
            "echo 'pg_dump (PostgreSQL) 13.4'",
            "pg_dump is older than the server: found pg_dump 13, expected {major} or newer",
        ),
        ("echo 'nonsense'", "pg_dump is older than the server: found pg_dump 0"),
        (
            (
                "[ \"$1\" = --version ] && echo 'pg_dump (PostgreSQL) 99.1' && exit; echo 'boom'"
                " >&2; exit 3"
            ),
            "pg_dump ended with exit code 3: found boom",
        ),
    ],
    ids=["missing", "older", "no version", "failing"],
)
def test_a_dump_program_that_does_not_do_is_named(
    small: Bench,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str | None,
    expected: str,
) -> None:
    folder = fake_programs(tmp_path / "bin", script) if script else tmp_path
    monkeypatch.setenv("MANTIS_RUNBOOK_PG_BIN", str(folder))
    with pytest.raises(RunbookError) as caught:
        backup.take(small.target, tmp_path / "backup")
    assert str(caught.value).startswith(expected.format(major=server.version))
    assert not (tmp_path / "backup").exists()


def test_programs_of_an_older_server_are_refused(
    small: Bench, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = Path("/usr/lib/postgresql/15/bin")
    if not older.is_dir() or server.version <= 15:
        pytest.skip("needs programs older than the server")
    monkeypatch.setenv("MANTIS_RUNBOOK_PG_BIN", str(older))
    with pytest.raises(
        Refused, match="pg_dump is older than the server: found pg_dump 15, expected 18 or newer"
    ):
        backup.take(small.target, tmp_path / "backup")


def test_no_argument_of_a_program_holds_a_secret(
    small: Bench, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of the kernel, by programs that write down what /proc says of them before they do their
    work.
    """
    log, folder = tmp_path / "arguments", tmp_path / "bin"
    folder.mkdir()
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        real = programs.find(name, server=server.version)
        (folder / name).write_text(f'#!/bin/sh\ncat /proc/$$/cmdline >>{log}\nexec {real} "$@"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("MANTIS_RUNBOOK_PG_BIN", str(folder))
    target = Target("TEST_DSN", "variable", small.target.parameters | {"password": SECRET})
    assert commands.command("pg_dump", target).environment["PGPASSWORD"] == SECRET
    taken = backup.take(target, tmp_path / "backup", derived=True)
    assert proven(target, taken).is_valid
    seen = log.read_text()
    assert all(f"bin/{name}" in seen for name in ("pg_dump", "pg_dumpall", "pg_restore"))
    assert "--format=custom" in seen
    assert SECRET not in seen
    assert not any(SECRET.encode() in path.read_bytes() for path in taken.folder.iterdir())


def test_roles_are_kept_without_their_passwords(small: Bench, tmp_path: Path) -> None:
    small.sql(f"CREATE ROLE app_reader LOGIN PASSWORD '{SECRET}'")
    try:
        taken = backup.take(small.target, tmp_path / "backup")
    finally:
        small.sql("DROP ROLE app_reader")
    text = (taken.folder / "globals.sql").read_text()
    assert "CREATE ROLE app_reader" in text
    assert "PASSWORD" not in text
    assert "SCRAM" not in text


# -- roles -----------------------------------------------------------------------------------------


@contextmanager
def role(bench: Bench, rights: str) -> Iterator[Target]:
    """The bench's database as another role, which owns everything in it."""
    name = f"owner_{os.getpid()}"
    with bench.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER {}").format(
                sql.Identifier(name), sql.SQL(rights)
            )
        )  # type: ignore[arg-type]
        connection.execute(
            f"ALTER TABLE old OWNER TO {name}; GRANT ALL ON ALL TABLES IN SCHEMA public,"
            f" mantis_runbook TO {name}; GRANT USAGE ON SCHEMA mantis_runbook TO {name}; GRANT ALL"
            f" ON ALL SEQUENCES IN SCHEMA mantis_runbook TO {name}"
        )
        try:
            yield Target("TEST_DSN", "variable", bench.target.parameters | {"user": name})
        finally:
            connection.execute(
                f"REASSIGN OWNED BY {name} TO mantis; DROP OWNED BY {name}; DROP ROLE {name}"
            )


def test_a_role_that_row_security_filters_errors_instead_of_undercounting(
    small: Bench, tmp_path: Path
) -> None:
    small.sql(
        "ALTER TABLE old ENABLE ROW LEVEL SECURITY; ALTER TABLE old FORCE ROW LEVEL SECURITY;"
        " CREATE POLICY few ON old USING (id < 10)"
    )
    with role(small, "CREATEDB") as filtered:
        with pytest.raises(RunbookError, match="row.level security|every row") as caught:
            backup.take(filtered, tmp_path / "backup")
    assert "old" in str(caught.value)
    assert not (tmp_path / "backup").exists()


def test_a_role_that_row_security_does_not_filter_backs_up(small: Bench, tmp_path: Path) -> None:
    small.sql("ALTER TABLE old ENABLE ROW LEVEL SECURITY; ALTER TABLE old FORCE ROW LEVEL SECURITY")
    with role(small, "BYPASSRLS") as unfiltered:
        taken = backup.take(unfiltered, tmp_path / "backup")
    assert taken.fingerprint.tables["public.old"].total.rows == 20_000


def test_a_role_without_createdb_gets_no_scratch_database(small: Bench) -> None:
    with role(small, "NOCREATEDB") as poor, pytest.raises(Refused) as caught:
        create_scratch(poor, "mantis_scratch_test")
    assert (
        str(caught.value)
        == "scratch database mantis_scratch_test cannot be created: found permission denied to"
        " create database, expected a role with CREATEDB, and disk; grant CREATEDB, free some"
        " disk, or name another server with the parameter `scratch`"
    )


def test_only_scratch_databases_of_ours_are_ever_dropped(small: Bench) -> None:
    before = small.sql("SELECT datname FROM pg_database ORDER BY 1")
    for name in ("postgres", "mantis_db", "scratch", "Mantis_scratch_x", " mantis_scratch_x", ""):
        for work in (drop_scratch, create_scratch):
            with pytest.raises(Refused, match="is no scratch database of the runbook"):
                work(small.target, name)
    assert small.sql("SELECT datname FROM pg_database ORDER BY 1") == before


def test_a_scratch_database_left_by_a_cut_run_is_replaced(small: Bench) -> None:
    with scratch(small.target) as first:
        with psycopg.connect(**first.parameters, autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute("CREATE TABLE left_over ()")
            second = create_scratch(small.target, "mantis_scratch_test")
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with psycopg.connect(**second.parameters) as connection:  # type: ignore[arg-type]
            assert connection.execute("SELECT to_regclass('left_over')").fetchone() == (None,)


def test_a_table_locked_for_a_moment_is_waited_for(small: Bench, tmp_path: Path) -> None:
    """Reading holds nobody up, so a backup is more patient than a migration's step."""
    with small.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE old")
        with beside(lambda: backup.take(small.target, tmp_path / "backup")) as taking:
            wait_for(
                lambda: small.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), "somebody to wait"
            )
            time.sleep(0.3)
            holder.execute("COMMIT")
    assert taking.error is None


def test_a_killed_dump_leaves_nothing(small: Bench, tmp_path: Path) -> None:
    with small.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE old")
        with beside(lambda: backup.take(small.target, tmp_path / "backup")) as taking:
            ended = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ="
                " 'pg_dump' AND datname = current_database()"
            )
            wait_for(lambda: small.sql(ended), "pg_dump")
            holder.execute("COMMIT")
    assert isinstance(taking.error, ProgramError)
    assert not (tmp_path / "backup").exists()


def test_triggers_that_fire_in_a_replica_too_rest_while_plain_rows_are_loaded(
    small: Bench, tmp_path: Path
) -> None:
    """Under session_replication_role = replica an ENABLE ALWAYS trigger still fires: the copy had
    what it wrote besides.
    """
    small.sql("CREATE TABLE seen (id integer); CREATE TABLE watched (id integer)")
    small.sql(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.seen VALUES (NEW.id); RETURN NULL; END'"
    )
    small.sql("CREATE TRIGGER note AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION note()")
    small.sql("INSERT INTO watched VALUES (1), (2); ALTER TABLE watched ENABLE ALWAYS TRIGGER note")
    taken = backup.take(small.target, tmp_path / "backup", derived=True)
    with scratch(small.target) as copy:
        assert backup.prove_derived(taken, copy).is_equal
        with connect(copy, "test") as connection:
            kept = connection.execute(
                "SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'note'"
            ).fetchone()
    assert kept == ("A",)


def test_a_restore_fires_no_trigger_of_a_partitioned_table(small: Bench, tmp_path: Path) -> None:
    """Its entry in a dump waits for no partition's rows. A dump that knows no sizes, since it went
    through a pipe, has it made before them by several jobs of one call, nearly always; one that was
    written to a file, seldom.
    """
    small.sql("CREATE TABLE tally (fired bigint); INSERT INTO tally VALUES (0)")
    small.sql("CREATE TABLE parent (id integer, at integer) PARTITION BY RANGE (at)")
    for number in range(1, 41):
        small.sql(
            f"CREATE TABLE leaf_{number} PARTITION OF parent FOR VALUES FROM ({number}) TO"
            f" ({number + 1})"
        )
    small.sql(
        "CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE public.tally SET fired = fired + 1; RETURN NULL; END'"
    )
    small.sql("INSERT INTO parent SELECT n, 1 + n % 40 FROM generate_series(1, 400) AS n")
    small.sql(
        "CREATE TRIGGER count_it AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION count_it()"
    )
    taken = backup.take(small.target, tmp_path / "backup")
    dump = commands.command("pg_dump", small.target, "--format=custom")
    taken.full.write_bytes(
        subprocess.run(dump.arguments, env=dump.environment, capture_output=True, check=True).stdout
    )
    piped = replace(taken, checksums=taken.checksums | {taken.full.name: backup.sha256(taken.full)})
    assert proven(small.target, piped).is_valid
