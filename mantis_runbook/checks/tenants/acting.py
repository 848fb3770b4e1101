"""Acting as somebody: a role and a user of the application, whose deeds are rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from psycopg import sql

from mantis_runbook.postgres.connection import Connection, rows, scalar

__all__ = ["NOBODY", "Acts", "Guise", "acting", "as_text", "become", "obstacle", "own_role"]

#: A user that no organisation has.
NOBODY = "00000000-0000-0000-0000-000000000000"


class Acts(Protocol):
    """Whoever acts: what the session's settings hold while it does."""

    @property
    def settings(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Guise:
    """Somebody without a place among the tenants: nobody (all settings empty), or a user of no
    organisation.
    """

    settings: Mapping[str, str] = field(default_factory=dict)


def own_role(connection: Connection) -> str:
    """The role that the connection has now."""
    return str(scalar(connection, "SELECT current_user"))


def become(connection: Connection, role: str, who: Acts) -> None:
    """Be that role, and that user of the application, until the transaction ends or is rolled
    back.
    """
    connection.execute(as_text(connection, role, who), prepare=False)


def as_text(connection: Connection, role: str, who: Acts) -> bytes:
    """The statement by which a session becomes that role and user."""
    wanted = {**who.settings, "row_security": "on", "role": role}
    return _settings(tuple(wanted.items()), connection.info.encoding).encode(
        connection.info.encoding
    )


@lru_cache(maxsize=64)
def _settings(wanted: tuple[tuple[str, str], ...], encoding: str) -> str:
    """A proof becomes the same few people a thousand times."""
    pairs = sql.SQL(", ").join(sql.SQL("set_config({}, {}, true)").format(*pair) for pair in wanted)
    return sql.SQL("SELECT {}").format(pairs).as_string(None)


@contextmanager
def acting(connection: Connection, role: str, who: Acts) -> Iterator[None]:
    """Act as that role and user; whatever is done is rolled back, and the role is what it was."""
    with connection.transaction(force_rollback=True):
        become(connection, role, who)
        yield


def obstacle(connection: Connection, role: str) -> str:
    """Why this session cannot act as that role, in words; empty when it can."""
    right = "SET" if connection.info.server_version >= 160_000 else "MEMBER"
    [row] = rows(
        connection,
        "SELECT to_regrole(quote_ident(%(role)s)) IS NOT NULL AS there,"
        " coalesce(pg_has_role(session_user, to_regrole(quote_ident(%(role)s))::oid, %(right)s),"
        " false) AS may",
        {"role": role, "right": right},
    )
    if not row["there"]:
        return f"there is no role {role}"
    return (
        ""
        if row["may"]
        else (
            f"{own_role(connection)} is no member of {role}: GRANT {role} TO {own_role(connection)}"
        )
    )
