"""What pg_repack needs (a program, rights, a key) and which of it is missing, in words, before it
is started.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from mantis_runbook.postgres import programs
from mantis_runbook.postgres.connection import Connection, identity, query, rows

__all__ = ["is_superuser", "program", "refusal"]

#: Older ones have no `--no-kill-backend`: they end the application's sessions, and deadlock with
#: its writers when they are interrupted (their release notes of 1.4 and 1.3.3,
#: https://reorg.github.io/pg_repack/#releases).
OLDEST = (1, 4)

#: The functions of older ones refuse whoever is no superuser, when the table is copied and its
#: trigger made. The program then tries to clean up by such a function, again and again, and never
#: ends (tried with 1.4.8, on PostgreSQL 15.18).
FOR_OWNERS = (1, 5)

HIDDEN = (
    "row security hides rows of it from this role, and a rebuild would lose them; use a role with"
    " BYPASSRLS"
)

NO_KEY = (
    "it has no primary key and no unique index on columns that are NOT NULL; add one, or use VACUUM"
    " FULL while nobody works"
)

KINDS = {
    "m": "a materialized view: REFRESH MATERIALIZED VIEW rebuilds it",
    "p": "a partitioned table: its partitions are rebuilt one by one",
    "f": "a foreign table: it is stored elsewhere",
}


def program(connection: Connection) -> tuple[Path | None, str]:
    """pg_repack of the extension's own version, or why there is none, or why our role may not use
    it.
    """
    installed = rows(connection, "SELECT extversion FROM pg_extension WHERE extname = 'pg_repack'")
    if not installed:
        return None, "pg_repack is not installed in this database (CREATE EXTENSION pg_repack)"
    wanted, major = installed[0]["extversion"], identity(connection).major
    if is_older(wanted, OLDEST):
        oldest = ".".join(map(str, OLDEST))
        return (
            None,
            (
                f"the extension is pg_repack {wanted}, expected {oldest} or newer: an older one"
                " ends the application's sessions and can hang in a deadlock with them; install a"
                " newer one, then DROP EXTENSION pg_repack and CREATE it again"
            ),
        )
    candidates = [path for folder in programs.folders() if (path := folder / "pg_repack").is_file()]
    fitting = [path for path in candidates if _version(path) == wanted]
    if not fitting:
        there = ", ".join(sorted({_version(path) or "?" for path in candidates})) or "none"
        return (
            None,
            f"the extension is pg_repack {wanted}, the program must be too, and there is {there}",
        )
    if not is_superuser(connection) and is_older(wanted, FOR_OWNERS):
        return (
            None,
            (
                f"pg_repack {wanted} works for superusers only: for this role it would hang and"
                " leave its trigger behind; run it as a superuser, or install 1.5 or newer"
            ),
        )
    if not is_superuser(connection) and (grants := rows(connection, query("repack/rights"))):
        words = "; ".join(row["grant"] for row in grants)
        return None, f"this role may not use pg_repack; as a superuser: {words}"
    return next((path for path in fitting if f"/{major}/" in str(path)), fitting[0]), ""


def refusal(connection: Connection, table: str) -> str:
    """Why this table of the schema public cannot be rebuilt; empty where it can."""
    (it,) = rows(connection, query("repack/refusal"), (table,))
    if it["relkind"] != "r":
        return KINDS.get(it["relkind"], "not an ordinary table")
    if it["relpersistence"] != "p":
        return "an unlogged table: pg_repack leaves those alone; use VACUUM FULL while nobody works"
    if not it["has_key"]:
        return NO_KEY
    if not (it["is_owner"] or is_superuser(connection)):
        return f"it belongs to {it['owner']}, and this role is no member of that; use one that is"
    return HIDDEN if it["hides_rows"] else ""


def is_superuser(connection: Connection) -> bool:
    """Whether our role is one, as the server says now."""
    return connection.info.parameter_status("is_superuser") == "on"


def is_older(version: str, than: tuple[int, int]) -> bool:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < than


@cache
def _version(path: Path) -> str:
    """Its version, as `pg_repack 1.4.8` says it; "" when it does not say."""
    try:
        output = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"pg_repack (\S+)", output)
    return match[1] if match else ""
