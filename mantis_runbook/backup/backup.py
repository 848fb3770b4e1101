"""Backups: taken from one exported snapshot, and proven by restoring them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from mantis_runbook.backup import beside_tables, fingerprint, likeness, restored_copy
from mantis_runbook.backup.comparison import Comparison, compare_restored
from mantis_runbook.backup.fingerprint import Fingerprint
from mantis_runbook.backup.likeness import Likeness
from mantis_runbook.backup.restored_copy import LeftOut
from mantis_runbook.backup.restoring import (
    require_scratch,
    restore_dump,
    restore_file,
    triggers_at_rest,
)
from mantis_runbook.errors import BackupNotProven, Failed, ProgramError, Refused
from mantis_runbook.postgres import catalog, commands, programs
from mantis_runbook.postgres.analyse import analyse
from mantis_runbook.postgres.catalog import Catalog
from mantis_runbook.postgres.connection import (
    Connection,
    connect,
    identity,
    message_of,
)
from mantis_runbook.postgres.programs import Command
from mantis_runbook.postgres.session_settings import CLIENT_ENCODING
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs.stored import loaded

__all__ = [
    "Backup",
    "Proof",
    "prove",
    "prove_derived",
    "refuse_full_disk",
    "sha256",
    "take",
]

#: Level 1 compresses nearly as well as 6 in less than half the time; level 0 would restore flipped
#: bits as data.
COMPRESSION = "-Z1"

#: The file of a backup that says what its database is beside what the dump holds.
LIKENESS = "database.json"

#: How a disk, a quota or a limit on the size of files says that it is full.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: A reader that waits for a lock holds nobody up but those who want the table for themselves.
READER_LOCK_TIMEOUT = "60s"


@dataclass(frozen=True)
class Backup:
    """A full backup and what was derived from it, all of one instant.

    Sizes in bytes, checksums SHA-256.
    """

    folder: Path
    database: str
    taken_at: str
    sizes: dict[str, int]
    checksums: dict[str, str]

    @property
    def full(self) -> Path:
        return self.folder / next(name for name in self.sizes if name.endswith(".backup"))

    def file(self, kind: str) -> Path:
        """The derived file of a `kind`, "schema" or "data"."""
        return self.folder / next(name for name in self.sizes if name.startswith(f"mantis_{kind}_"))

    @property
    def fingerprint(self) -> Fingerprint:
        """The content at the snapshot's instant."""
        return Fingerprint.from_json((self.folder / "fingerprint.json").read_text())

    @property
    def catalog(self) -> Catalog:
        """The catalogue at the snapshot's instant."""
        return Catalog.from_json((self.folder / "catalog.json").read_text())

    @property
    def likeness(self) -> Likeness:
        """Encoding, locale, settings and rights of the database; of an older backup nothing is
        known.
        """
        path = self.folder / LIKENESS
        return Likeness.from_json(path.read_text()) if path.is_file() else Likeness()

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
        return loaded(cls, data)


@dataclass(frozen=True)
class Proof:
    """The restored copy compared with the snapshot: content per table, and the catalogue.

    `notes` name what no copy can have (`left_out` a whole extension, among them) and what the
    server could not do with a good copy: none of it makes the backup invalid, and each is to be
    read.
    """

    content: Comparison
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
        """What the dump holds and the copy's server cannot, in words: a plain file restores with it
        or not at all.
        """
        return [f"extension {one.extension}" for one in self.left_out] + [
            "tablespaces"
        ] * self.without_tablespaces


def refuse_full_disk(connection: Connection, folder: Path, factor: float) -> int:
    """Bytes free for a backup in `folder`.

    Raises `Refused` when they are fewer than `factor` times the database.
    """
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
    """Dump and fingerprint the database inside one exported snapshot, while the application runs.

    `derived` also writes the schema-only and data-only files, from the dump itself: the same
    instant, and no second load on the server. Whatever fails, nothing half-written stays behind.
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
        action=(
            "free some, or name another disk in MANTIS_RUNBOOK_BACKUPS; nothing half-written was"
            " kept"
        ),
    )


def _unreadable(target: Target, error: psycopg.Error) -> Failed:
    return Failed(
        f"target {target.name} cannot be backed up",
        found=message_of(error),
        expected="a role that may read every row, and tables that are not locked for long",
        action="remove the cause and take the backup again; nothing half-written was kept",
    )


def _take(target: Target, folder: Path, *, derived: bool) -> Backup:
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    full = folder / f"mantis_full_{stamp}.backup"
    patient = {"idle_in_transaction_session_timeout": "0", "lock_timeout": READER_LOCK_TIMEOUT}
    with connect(target, "backup", **patient) as connection:
        who = identity(connection)
        with _snapshot(connection) as snapshot, ThreadPoolExecutor(1) as beside:
            # Before the dump reads them: a restored sequence then stands between this reading and
            # the one after it.
            positions = beside_tables.positions(connection)
            arguments = ["--format=custom", COMPRESSION, f"--snapshot={snapshot}", f"--file={full}"]
            arguments += [
                f"--lock-wait-timeout={READER_LOCK_TIMEOUT}",
                f"--encoding={CLIENT_ENCODING}",
            ]
            dump = beside.submit(_run, commands.command("pg_dump", target, *arguments), folder)
            (folder / LIKENESS).write_text(likeness.read(connection).to_json())
            (folder / "catalog.json").write_text(catalog.snapshot(connection).to_json())
            (folder / "extensions.json").write_text(json.dumps(restored_copy.members(connection)))
            content = fingerprint.take(connection, sequences=positions)
            dump.result()
            content = replace(content, sequences_later=beside_tables.positions(connection))
            (folder / "fingerprint.json").write_text(content.to_json())
    _globals(target, folder)
    written: dict[tuple[str, ...], Path] = {("--list",): folder / "restore_list.txt"}
    if derived:
        for kind in ("schema", "data"):
            written[f"--{kind}-only", "--no-subscriptions"] = folder / f"mantis_{kind}_{stamp}.sql"
    for what, file in written.items():
        _run(
            commands.offline("pg_restore", *what, f"--file={file}", str(full), server=who.major),
            folder,
        )
    files = sorted(path for path in folder.iterdir() if path.is_file())
    sums = {path.name: sha256(path) for path in files}
    (folder / "SHA256SUMS").write_text(
        "".join(f"{total}  {name}\n" for name, total in sums.items())
    )
    return Backup(
        folder=folder,
        database=who.database,
        taken_at=stamp,
        sizes={path.name: path.stat().st_size for path in files},
        checksums=sums,
    )


@contextmanager
def _snapshot(connection: Connection) -> Iterator[str]:
    """One REPEATABLE READ snapshot, exported for as long as the block lasts and no longer: it holds
    CONCURRENTLY up.
    """
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        yield str(row[0])
    finally:
        if not connection.broken:
            connection.execute("ROLLBACK")


def _globals(target: Target, folder: Path) -> None:
    """Write roles, without passwords: the dump lacks them, and another server needs them."""
    arguments = ["--globals-only", "--no-role-passwords", f"--file={folder / 'globals.sql'}"]
    _run(commands.command("pg_dumpall", target, *arguments), folder)


def _run(command: Command, folder: Path) -> None:
    try:
        programs.run(command)
    except ProgramError as error:
        if (
            any(os.strerror(number) in str(error) for number in FULL)
            or shutil.disk_usage(folder).free < 1 << 20
        ):
            raise _full(folder) from None
        raise


def sha256(path: Path) -> str:
    """SHA-256 of a file as hex, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- the proof -------------------------------------------------------------------------------------


def prove(backup: Backup, scratch: Target) -> Proof:
    """Restore the full backup into the (empty) scratch database and compare it with its snapshot.

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
    left, without_tablespaces = restore_dump(backup.full, backup.catalog, scratch)
    with connect(scratch, "proof", lock_timeout="0") as connection:
        not_taken_over = [
            f"the copy lacks {what}" for what in likeness.dress(connection, backup.likeness)
        ]
        unanalysed = analyse(connection)
        expected = backup.fingerprint
        restored = fingerprint.take(connection, columns=expected.columns)
        content = restored_copy.content_as_restored(compare_restored(expected, restored), left)
        catalogue, notes = restored_copy.as_restored(
            backup.catalog,
            catalog.snapshot(connection),
            left,
            without_tablespaces=without_tablespaces,
        )
    all_notes = dict.fromkeys([*(one.note for one in left), *not_taken_over, *notes, *unanalysed])
    return Proof(
        content=content,
        catalogue=catalogue,
        scratch=scratch.parameters["dbname"],
        notes=tuple(all_notes),
        left_out=left,
        without_tablespaces=without_tablespaces,
    )


def prove_derived(backup: Backup, scratch: Target) -> Comparison:
    """Restore the schema-only and then the data-only file into the (empty) scratch database, and
    compare the content.

    Raises `BackupNotProven` when one of them does not restore.
    """
    require_scratch(scratch)
    restore_file(backup.file("schema"), scratch)
    # Rows come table by table, so foreign keys rest meanwhile, and triggers must not do their work
    # a second time.
    with triggers_at_rest(scratch):
        restore_file(backup.file("data"), scratch, session_replication_role="replica")
    expected = backup.fingerprint
    with connect(scratch, "proof", lock_timeout="0") as connection:
        return compare_restored(expected, fingerprint.take(connection, columns=expected.columns))
