"""A backup's files, restored into a scratch database and nowhere else."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mantis_runbook.backup import restored_copy
from mantis_runbook.backup import scratch as scratch_databases
from mantis_runbook.backup.restored_copy import LeftOut
from mantis_runbook.errors import BackupNotProven, ProgramError, Refused
from mantis_runbook.postgres import commands, programs
from mantis_runbook.postgres.catalog import Catalog
from mantis_runbook.postgres.connection import Connection, connect, identity, query, rows
from mantis_runbook.postgres.target import Target

__all__ = ["require_scratch", "restore_dump", "restore_file", "triggers_at_rest"]

#: A restore in three calls. In one, a trigger of a partitioned table depends on that table alone,
#: which has no rows of its own, so that one of several jobs may create it while another still
#: copies a partition, whose rows then fire it.
SECTIONS = (
    ("--section=pre-data",),
    ("--section=data", "--jobs=2"),
    ("--section=post-data", "--jobs=2"),
)


def require_scratch(scratch: Target) -> None:
    """Raise `Refused` unless the connection reaches the scratch database that it names.

    Nothing is ever restored into a database that is not ours.
    """
    with connect(scratch, "restore") as connection:
        reached = identity(connection).database
    if not reached.startswith(scratch_databases.PREFIX) or reached != scratch.parameters["dbname"]:
        raise Refused(
            f"a backup would be restored into database {reached}",
            expected=f"the scratch database {scratch.parameters['dbname']}",
            action="name the scratch server directly; nothing was restored",
        )


def restore_dump(
    dump: Path, catalogue: Catalog, scratch: Target
) -> tuple[tuple[LeftOut, ...], bool]:
    """Restore what the scratch database can hold of a dump whose `catalogue` is given.

    Returns what was left out, and whether the tablespaces were. Raises `BackupNotProven` when the
    dump does not restore.
    """
    require_scratch(scratch)
    with connect(scratch, "restore", lock_timeout="0") as connection:
        contents, left = _restorable(dump, catalogue, connection)
        elsewhere = not restored_copy.has_tablespaces(connection, catalogue)
    session = {"synchronous_commit": "off", "maintenance_work_mem": "128MB"}
    # A subscription in a copy would stand on the original's slot.
    arguments = [
        "--exit-on-error",
        "--no-subscriptions",
        *(["--no-tablespaces"] if elsewhere else []),
    ]
    try:
        with tempfile.NamedTemporaryFile("w", prefix="mantis-restore-", suffix=".list") as chosen:
            if left:
                chosen.write(restored_copy.kept_list(contents, left))
                chosen.flush()
                arguments.append(f"--use-list={chosen.name}")
            for section in SECTIONS:
                options = (*section, *arguments, str(dump))
                programs.run(commands.command("pg_restore", scratch, *options, settings=session))
    except (ProgramError, subprocess.SubprocessError) as error:
        raise BackupNotProven(
            f"backup {dump.name} does not restore",
            found=str(error),
            expected="a restore without errors",
            action=(
                f"the dump is kept at {dump.parent}; look at the checks of 00_preparation for"
                " what it names"
            ),
        ) from None
    return left, elsewhere


def _restorable(
    dump: Path, catalogue: Catalog, connection: Connection
) -> tuple[tuple[restored_copy.Entry, ...], tuple[LeftOut, ...]]:
    """The dump's contents, and the extensions that the scratch database's server cannot create.

    Both are empty where it can create them all.
    """
    extensions = {name: text for name, text in catalogue["extensions"].items() if name != "plpgsql"}
    reasons = restored_copy.refused(connection, extensions)
    if not reasons:
        return (), ()
    listed = commands.offline(
        "pg_restore", "--list", "--verbose", str(dump), server=identity(connection).major
    )
    kept = dump.parent / "extensions.json"
    of_extension = restored_copy.members_from_json(kept.read_text()) if kept.is_file() else {}
    contents = restored_copy.entries(programs.run(listed).stdout)
    return contents, restored_copy.left_out(contents, reasons, of_extension)


def restore_file(path: Path, scratch: Target, **session: str) -> None:
    """Have psql run a schema-only or data-only file. Raises `BackupNotProven` when it fails."""
    arguments = ["--quiet", "--output=/dev/null", f"--file={path}"]
    try:
        programs.run(
            commands.command(
                "psql", scratch, *arguments, settings=session | {"synchronous_commit": "off"}
            )
        )
    except ProgramError as error:
        raise BackupNotProven(
            f"backup {path.name} does not restore",
            found=str(error),
            expected="a restore without errors",
            action=f"the file is kept at {path}; the full backup beside it has a proof of its own",
        ) from None


@contextmanager
def triggers_at_rest(scratch: Target) -> Iterator[None]:
    """Disable the triggers that fire in a replica's sessions too (ENABLE ALWAYS, ENABLE REPLICA).

    All others do not fire there anyway.
    """
    with connect(scratch, "proof", lock_timeout="0") as connection:
        triggers = rows(connection, query("backup/triggers_of_replicas"))
        for trigger in triggers:
            connection.execute(trigger["rest"].encode())
        yield
        for trigger in triggers:
            connection.execute(trigger["wake"].encode())
