"""Backups: taken from one exported snapshot, and proven by restoring them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook import catalog, fingerprint, programs, restorable
from mantis_runbook.analyse import analyse
from mantis_runbook.catalog import Catalog
from mantis_runbook.database import Connection, connect, identity
from mantis_runbook.errors import BackupNotProven, Failed, ProgramError, Refused
from mantis_runbook.fingerprint import Fingerprint
from mantis_runbook.restorable import LeftOut
from mantis_runbook.target import Target

__all__ = [
    "Backup",
    "Proof",
    "create_scratch",
    "drop_scratch",
    "has_scratch",
    "prove",
    "prove_derived",
    "refuse_full_disk",
    "scratch_name",
    "sha256",
    "take",
]

#: Level 1 compresses nearly as well as 6 in less than half the time; level 0 would restore flipped bits as data.
COMPRESSION = "-Z1"

#: How a disk, a quota or a limit on the size of files says that it is full.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: A reader that waits for a lock holds nobody up but those who want the table for themselves.
READER_LOCK_TIMEOUT = "60s"


@dataclass(frozen=True)
class Backup:
    """A full backup and what was derived from it, all of one instant. Sizes in bytes, checksums SHA-256."""

    folder: Path
    database: str
    taken_at: str
    sizes: dict[str, int]
    checksums: dict[str, str]

    @property
    def full(self) -> Path:
        return self.folder / next(name for name in self.sizes if name.endswith(".backup"))

    @property
    def fingerprint(self) -> Fingerprint:
        """The content at the snapshot's instant."""
        return Fingerprint.from_json((self.folder / "fingerprint.json").read_text())

    @property
    def catalog(self) -> Catalog:
        """The catalogue at the snapshot's instant."""
        return Catalog.from_json((self.folder / "catalog.json").read_text())

    def as_dict(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "database": self.database,
            "taken_at": self.taken_at,
            "sizes": self.sizes,
            "checksums": self.checksums,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Backup:
        return cls(**{**data, "folder": Path(data["folder"])})


@dataclass(frozen=True)
class Proof:
    """The restored copy compared with the snapshot: content per table, and the catalogue.

    `notes` name what no copy can have (`left_out` a whole extension, among them) and what the server could not do with a
    good copy: none of it makes the backup invalid, and each is to be read.
    """

    content: fingerprint.Comparison
    catalogue: catalog.Difference
    scratch: str
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    without_tablespaces: bool = False

    @property
    def is_valid(self) -> bool:
        return self.content.is_equal and self.catalogue.is_empty

    @property
    def lacking(self) -> list[str]:
        """What the dump holds and the copy's server cannot, in words: a plain file restores with it or not at all."""
        return [f"extension {one.extension}" for one in self.left_out] + ["tablespaces"] * self.without_tablespaces


def refuse_full_disk(connection: Connection, folder: Path, factor: float) -> int:
    """Bytes free for a backup in `folder`. Raises `Refused` when they are fewer than `factor` times the database."""
    folder.mkdir(parents=True, exist_ok=True)
    row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    needed, free = int(row[0] * factor) if row else 0, shutil.disk_usage(folder).free
    if free < needed:
        raise Refused(
            f"too little disk for a backup in {folder}",
            found=f"{free / 2**20:,.0f} MiB free",
            expected=f"{needed / 2**20:,.0f} MiB ({factor:g} times the database)",
            action="free some, or name another disk in MANTIS_RUNBOOK_BACKUPS",
        )
    return free


def take(target: Target, folder: Path, *, derived: bool = False) -> Backup:
    """Dump the database and fingerprint it, both inside one exported snapshot, while the application goes on.

    `derived` also writes the schema-only and data-only files, from the dump itself: the same instant, and no second
    load on the server. Whatever fails, nothing half-written stays behind.
    """
    try:
        folder.mkdir(parents=True, exist_ok=False, mode=0o700)
    except FileExistsError:
        raise Refused(f"backup folder {folder} already exists", action="name another run") from None
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        return _take(target, folder, derived=derived)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unwritable(folder, error) from None
    except psycopg.Error as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unreadable(target, error) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unwritable(folder: Path, error: OSError) -> Refused:
    if error.errno in FULL:
        return _full(folder)
    return Refused(
        f"backup folder {folder} cannot be written",
        found=error.strerror or str(error),
        expected="a folder of our own",
        action="name another place in MANTIS_RUNBOOK_BACKUPS",
    )


def _full(folder: Path) -> Refused:
    return Refused(
        f"the disk filled up under the backup in {folder}",
        found="no space left on device",
        expected="room for the dump",
        action="free some, or name another disk in MANTIS_RUNBOOK_BACKUPS; nothing half-written was kept",
    )


def _unreadable(target: Target, error: psycopg.Error) -> Failed:
    return Failed(
        f"target {target.name} cannot be backed up",
        found=error.diag.message_primary or " ".join(str(error).split()),
        expected="a role that may read every row, and tables that are not locked for long",
        action="remove the cause and take the backup again; nothing half-written was kept",
    )


def _take(target: Target, folder: Path, *, derived: bool) -> Backup:
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    full = folder / f"mantis_full_{stamp}.backup"
    patient = {"idle_in_transaction_session_timeout": "0", "lock_timeout": READER_LOCK_TIMEOUT}
    with connect(target, "backup", **patient) as connection:
        who = identity(connection)
        pg_dump = programs.find("pg_dump", server=who.major)
        with _snapshot(connection) as snapshot, ThreadPoolExecutor(1) as beside:
            # Before the dump reads them: a restored sequence then stands between this reading and the one after it.
            positions = fingerprint.positions(connection)
            arguments = ["--format=custom", COMPRESSION, f"--snapshot={snapshot}", f"--file={full}"]
            arguments += [f"--lock-wait-timeout={READER_LOCK_TIMEOUT}"]
            dump = beside.submit(_run, pg_dump, arguments, target, folder)
            (folder / "catalog.json").write_text(catalog.snapshot(connection).to_json())
            (folder / "extensions.json").write_text(json.dumps(restorable.members(connection)))
            content = fingerprint.take(connection, sequences=positions)
            dump.result()
            content = replace(content, sequences_later=fingerprint.positions(connection))
            (folder / "fingerprint.json").write_text(content.to_json())
    _globals(target, folder, who.major)
    pg_restore = programs.find("pg_restore", server=who.major)
    _run(pg_restore, ["--list", f"--file={folder / 'restore_list.txt'}", str(full)], target, folder)
    if derived:
        for kind in ("schema", "data"):
            _run(
                pg_restore,
                [f"--{kind}-only", f"--file={folder / f'mantis_{kind}_{stamp}.sql'}", str(full)],
                target,
                folder,
            )
    files = sorted(path for path in folder.iterdir() if path.is_file())
    sums = {path.name: sha256(path) for path in files}
    (folder / "SHA256SUMS").write_text("".join(f"{total}  {name}\n" for name, total in sums.items()))
    return Backup(folder, who.database, stamp, {path.name: path.stat().st_size for path in files}, sums)


@contextmanager
def _snapshot(connection: Connection) -> Iterator[str]:
    """One REPEATABLE READ snapshot, exported for as long as the block lasts and no longer: it holds CONCURRENTLY up."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield str(row[0])
    finally:
        if not connection.broken:
            connection.execute("ROLLBACK")


def _globals(target: Target, folder: Path, major: int) -> None:
    """Roles without passwords: they are not in the dump, and restoring on another server needs them."""
    program = programs.find("pg_dumpall", server=major)
    arguments = ["--globals-only", "--no-role-passwords", f"--file={folder / 'globals.sql'}"]
    _run(program, [*arguments, f"--database={target.parameters.get('dbname', 'postgres')}"], target, folder)


def _run(program: Path, arguments: list[str], target: Target, folder: Path) -> None:
    try:
        programs.run(program, arguments, variables=target.variables())
    except ProgramError as error:
        if any(os.strerror(number) in str(error) for number in FULL) or shutil.disk_usage(folder).free < 1 << 20:
            raise _full(folder) from None
        raise


def sha256(path: Path) -> str:
    """SHA-256 of a file as hex, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- the proof ---------------------------------------------------------------------------------------------------


def create_scratch(server: Target, name: str) -> Target:
    """An empty database of that name on the server; one left by a cut run is replaced.

    Raises `Refused` when the role may not create databases, or the disk is full.
    """
    drop_scratch(server, name)
    with connect(server, "scratch") as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        except psycopg.errors.DatabaseError as error:
            raise Refused(
                f"scratch database {name} cannot be created",
                found=error.diag.message_primary or "refused",
                expected="a role with CREATEDB, and disk",
                action="grant CREATEDB, free some disk, or name another server with the parameter `scratch`",
            ) from None
    return server.database(name)


def scratch_name(run: str, phase: str) -> str:
    """The scratch database of a phase of that run: the same name whenever it is asked for."""
    return f"mantis_scratch_{hashlib.sha256(run.encode()).hexdigest()[:10]}_{phase}"


def has_scratch(server: Target, name: str) -> bool:
    """Whether a database of that name is there."""
    with connect(server, "scratch") as connection:
        return connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def drop_scratch(server: Target, name: str) -> None:
    """Drop a scratch database, if it is there. Only names of ours are ever dropped."""
    if not name.startswith("mantis_scratch_"):
        raise Refused(
            f"database {name} is no scratch database of the runbook", action="drop it by hand, if you mean it"
        )
    with connect(server, "scratch", lock_timeout="0") as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def prove(backup: Backup, scratch: Target) -> Proof:
    """Restore the full backup into the (empty) scratch database and compare it with its own snapshot.

    Raises `BackupNotProven` when a file changed since it was written, or the dump does not restore.
    """
    for name, total in backup.checksums.items():
        if not (backup.folder / name).is_file() or sha256(backup.folder / name) != total:
            raise BackupNotProven(
                f"backup file {backup.folder / name}",
                found="other bytes than were written",
                expected=f"SHA-256 {total}",
                action="take the backup again; look at the disk before you trust it",
            )
    left, without_tablespaces = _restore(backup, scratch)
    with connect(scratch, "proof", lock_timeout="0") as connection:
        unanalysed = analyse(connection)
        expected = backup.fingerprint
        found = fingerprint.take(connection, columns=expected.columns)
        content = restorable.content_as_restored(fingerprint.compare_restored(expected, found), left)
        catalogue, notes = restorable.as_restored(
            backup.catalog, catalog.snapshot(connection), left, without_tablespaces=without_tablespaces
        )
    told = dict.fromkeys([*(one.note for one in left), *notes, *unanalysed])
    return Proof(content, catalogue, scratch.parameters["dbname"], tuple(told), left, without_tablespaces)


def prove_derived(backup: Backup, scratch: Target) -> fingerprint.Comparison:
    """Restore the schema-only and then the data-only file into the (empty) scratch database, and compare the content.

    Raises `BackupNotProven` when one of them does not restore.
    """
    psql = programs.find("psql", server=_major(scratch))
    variables = scratch.variables()
    for kind in ("schema", "data"):
        path = next(backup.folder / name for name in backup.sizes if name.startswith(f"mantis_{kind}_"))
        # Rows come table by table, so foreign keys rest meanwhile, and triggers must not do their work a second time.
        role = " -c session_replication_role=replica" if kind == "data" else ""
        arguments = ["--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1", f"--file={path}"]
        try:
            programs.run(psql, arguments, variables=variables | {"PGOPTIONS": f"-c synchronous_commit=off{role}"})
        except ProgramError as error:
            raise BackupNotProven(
                f"backup {path.name} does not restore",
                found=str(error),
                expected="a restore without errors",
                action=f"the file is kept at {path}; the full backup beside it has a proof of its own",
            ) from None
    expected = backup.fingerprint
    with connect(scratch, "proof", lock_timeout="0") as connection:
        return fingerprint.compare_restored(expected, fingerprint.take(connection, columns=expected.columns))


def _major(target: Target) -> int:
    with connect(target, "restore") as connection:
        return identity(connection).major


def _restore(backup: Backup, scratch: Target) -> tuple[tuple[LeftOut, ...], bool]:
    """Restore what the scratch database can hold: what was left out, and whether the original's tablespaces were."""
    with connect(scratch, "restore", lock_timeout="0") as connection:
        program = programs.find("pg_restore", server=identity(connection).major)
        contents, left = _restorable(backup, program, scratch, connection)
        elsewhere = not restorable.has_tablespaces(connection, backup.catalog)
    variables = scratch.variables()
    variables["PGOPTIONS"] = variables.get("PGOPTIONS", "") + " -c synchronous_commit=off -c maintenance_work_mem=128MB"
    arguments = ["--exit-on-error", "--jobs=2", f"--dbname={scratch.parameters['dbname']}"]
    arguments += ["--no-tablespaces"] if elsewhere else []
    try:
        with tempfile.NamedTemporaryFile("w", prefix="mantis-restore-", suffix=".list") as chosen:
            if left:
                chosen.write(restorable.kept_list(contents, left))
                chosen.flush()
                arguments.append(f"--use-list={chosen.name}")
            programs.run(program, [*arguments, str(backup.full)], variables=variables)
    except (ProgramError, subprocess.SubprocessError) as error:
        raise BackupNotProven(
            f"backup {backup.full.name} does not restore",
            found=str(error),
            expected="a restore without errors",
            action=f"the dump is kept at {backup.folder}; look at the checks of 00_preparation for what it names",
        ) from None
    return left, elsewhere


def _restorable(
    backup: Backup, program: Path, scratch: Target, connection: Connection
) -> tuple[tuple[restorable.Entry, ...], tuple[LeftOut, ...]]:
    """The dump's contents, and the extensions that cannot be created in the scratch database, with all of theirs."""
    extensions = {name: text for name, text in backup.catalog["extensions"].items() if name != "plpgsql"}
    reasons = restorable.refused(connection, extensions)
    if not reasons:
        return (), ()
    listing = programs.run(program, ["--list", "--verbose", str(backup.full)], variables=scratch.variables()).stdout
    kept = backup.folder / "extensions.json"
    of_extension = restorable.members_from_json(kept.read_text()) if kept.is_file() else {}
    contents = restorable.entries(listing)
    return contents, restorable.left_out(contents, reasons, of_extension)
