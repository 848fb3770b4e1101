"""The ledger: which migrations this database has, in the strategy's table and five states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from mantis_runbook import application
from mantis_runbook.errors import Refused
from mantis_runbook.migrations.files import Migration
from mantis_runbook.postgres.connection import SCHEMA, Connection, query, rows, scalar

__all__ = ["TRANSITIONS", "Ledger", "LedgerRow", "close", "install", "shape"]

#: From which state a migration may pass to which: the only changes of `status` the runbook ever
#: writes.
TRANSITIONS: dict[str | None, set[str]] = {
    None: {"running"},
    "pending": {"running"},
    "running": {"running", "completed", "failed", "rolled_back"},
    "failed": {"running", "failed", "rolled_back"},
    "completed": {"running", "failed", "rolled_back"},
    "rolled_back": {"running"},
}


@dataclass(frozen=True)
class LedgerRow:
    """A row of `schema_migrations`."""

    version: str
    description: str
    status: str
    applied_at: datetime | None
    checksum: str | None


def shape(connection: Connection, table: str = "public.schema_migrations") -> str:
    """'none', 'ours' or 'foreign': what stands at the place the strategy gives its ledger."""
    return str(scalar(connection, query("ledger/existing_shape"), {"table": table}))


def _schema(connection: Connection) -> str:
    """Where our ledger lives: the runbook's own schema, or public where an older version made it
    and it was not moved yet.
    """
    if shape(connection, f"{SCHEMA}.schema_migrations") == "ours":
        return SCHEMA
    return "public" if shape(connection) == "ours" else SCHEMA


def install(connection: Connection) -> None:
    """Create ledger and journal where they are missing, closed to every role but the owner; running
    it again changes nothing.

    Both live in the schema `mantis_runbook`, so that a `schema_migrations` of the application,
    there already or made later, has its place in public; what an older version of ours made there
    moves.
    """
    with connection.transaction():
        # Only another installation is waited for; nothing of the application's is locked here.
        connection.execute("SET LOCAL lock_timeout = '30s'")
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('mantis_runbook.install', 0))"
        )
        connection.execute(query("ledger/005_home"))
        connection.execute(query("ledger/020_journal"))
        connection.execute(query("ledger/030_seal"))
        connection.execute(query("ledger/040_kept_value"))
        connection.execute(query("ledger/050_finding_before"))
        home = _schema(connection)
        if shape(connection, f"{home}.schema_migrations") == "none":
            connection.execute("SELECT set_config('search_path', %s, true)", (home,))
            connection.execute(query("ledger/010_ledger"))
        close(connection)


def close(connection: Connection) -> None:
    """Take every right on what we keep from all roles but the owner, as default privileges or an
    older version gave it.
    """
    connection.execute(query("ledger/060_rights"))


class Ledger:
    """Reads and writes the ledger of one database.

    Each write is a transaction of its own, so a failure is on record.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.schema = _schema(connection)
        self.exists = shape(connection, f"{self.schema}.schema_migrations") == "ours"

    def _table(self, name: str) -> sql.Composable:
        return sql.Identifier(self.schema, name)

    def require(self) -> Ledger:
        """This ledger, if it is there. Raises `Refused` before phase 0 has made it."""
        if not self.exists:
            raise Refused(
                "the database has no ledger",
                found="no schema_migrations of the runbook's shape",
                expected="phase 0 done",
                action="run notebooks/00_preparation.ipynb, or `mantis-runbook run --phases 0`",
            )
        return self

    def all(self) -> dict[str, LedgerRow]:
        """Rows by version; empty before phase 0."""
        if not self.exists:
            return {}
        ledger_rows = rows(
            self._connection,
            sql.SQL(
                "SELECT version, description, status, applied_at, checksum FROM {} ORDER BY version"
            ).format(self._table("schema_migrations")),
        )
        return {row["version"]: LedgerRow(**row) for row in ledger_rows}

    def set(self, migration: Migration, status: str) -> None:
        """Record a state. Raises `Refused` for a change the state machine does not know."""
        before = self.all().get(migration.version)
        if status not in TRANSITIONS[before.status if before else None]:
            raise Refused(
                f"migration {migration.version} cannot become {status}",
                found=f"status {before.status if before else 'none'}",
                expected="one of "
                + ", ".join(s or "none" for s, to in TRANSITIONS.items() if status in to),
                action="look at `mantis-runbook status`",
            )
        self._connection.execute(
            sql.SQL(
                "INSERT INTO {} AS ledger (version, description, status, checksum, rollback_sql)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (version) DO UPDATE SET description ="
                " excluded.description, status = excluded.status, checksum = excluded.checksum,"
                " rollback_sql = excluded.rollback_sql, applied_at = CASE WHEN excluded.status ="
                " 'completed' THEN now() ELSE ledger.applied_at END"
            ).format(self._table("schema_migrations")),
            (
                migration.version,
                migration.title,
                status,
                migration.checksum,
                migration.rollback.text,
            ),
        )

    def completed(self) -> tuple[str, ...]:
        return tuple(version for version, row in self.all().items() if row.status == "completed")

    def record_backup(self, phase: str, location: str, size: int, checksum: str) -> str:
        """A backup file that is not proven yet; returns the row's id."""
        insert = sql.SQL(
            "INSERT INTO {} (phase, backup_location, backup_size_bytes, checksum) VALUES (%s, %s,"
            " %s, %s) RETURNING id"
        ).format(self._table("migration_backups"))
        return str(scalar(self._connection, insert, (phase, location, size, checksum)))

    def record_proof(self, identifier: str, *, is_valid: bool) -> None:
        """The proof of a backup ended so."""
        self._connection.execute(
            sql.SQL(
                "UPDATE {} SET verified_at = clock_timestamp(), is_valid = %s WHERE id = %s"
            ).format(self._table("migration_backups")),
            (is_valid, identifier),
        )

    def backups(self) -> list[dict[str, Any]]:
        """All rows of `migration_backups`, oldest first."""
        if not self.exists:
            return []
        return rows(
            self._connection,
            sql.SQL("SELECT * FROM {} ORDER BY created_at, backup_location").format(
                self._table("migration_backups")
            ),
        )

    def record_archive(self, run: str, head: str, verdict: str) -> None:
        """The head of an archived run's manifest, kept a second time here."""
        self._connection.execute(
            "INSERT INTO mantis_runbook.archive (run, head, verdict) VALUES (%s, %s, %s) ON"
            " CONFLICT (run) DO UPDATE SET head = excluded.head, verdict = excluded.verdict,"
            " archived_at = now()",
            (run, head, verdict),
        )

    def archived_head(self, run: str) -> str | None:
        row = self._connection.execute(
            "SELECT head FROM mantis_runbook.archive WHERE run = %s", (run,)
        ).fetchone()
        return str(row[0]) if row else None

    def archived_heads(self) -> dict[str, str]:
        """Run → head of its manifest, of every run that was archived."""
        if not self.exists:
            return {}
        return dict(
            self._connection.execute("SELECT run, head FROM mantis_runbook.archive").fetchall()
        )

    def decide(self, subject: str, choices: Mapping[str, str], who: str) -> None:
        """Record what the operator decided; a later decision replaces an earlier one."""
        for key, value in choices.items():
            self._connection.execute(
                "INSERT INTO mantis_runbook.decision (subject, key, value, decided_by) VALUES (%s,"
                " %s, %s, %s) ON CONFLICT (subject, key) DO UPDATE SET value = excluded.value,"
                " decided_by = excluded.decided_by, decided_at = now() WHERE decision.value <>"
                " excluded.value",
                (subject, key, value, who),
            )

    def decided(self, subject: str) -> dict[str, str]:
        """What is on record about a subject: key → value; empty before phase 0 made the table."""
        if not scalar(
            self._connection, "SELECT to_regclass('mantis_runbook.decision') IS NOT NULL"
        ):
            return {}
        decisions = self._connection.execute(
            "SELECT key, value FROM mantis_runbook.decision WHERE subject = %s ORDER BY key",
            (subject,),
        )
        return {str(key): str(value) for key, value in decisions}

    def added_labels(self) -> dict[str, tuple[str, ...]]:
        """Enum → labels that the operator added to it: decided to stand for themselves."""
        enum = application.load().open_enum
        if enum is None:
            return {}
        return {
            enum.name: tuple(
                key for key, value in self.decided(enum.decision).items() if key == value
            )
        }
