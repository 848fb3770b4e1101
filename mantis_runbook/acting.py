"""Acting as somebody: a role and a user of the application, whose deeds are rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mantis_runbook.database import Connection

__all__ = ["NOBODY", "acting", "become", "own_role"]

#: Settings that tell the database who acts, in both kinds of installation.
WHO = ("request.jwt.claim.sub", "app.current_user_id")

#: A user that no organisation has.
NOBODY = "00000000-0000-0000-0000-000000000000"


def own_role(connection: Connection) -> str:
    """The role that the connection has now."""
    row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    return str(row[0])


def become(connection: Connection, role: str, user: str) -> None:
    """Be that role, and that user of the application ("" for none), until the transaction ends or is rolled back."""
    connection.execute(
        "SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
        ([*WHO, "row_security", "role"], [*[user] * len(WHO), "on", role]),
    )


@contextmanager
def acting(connection: Connection, role: str, user: str) -> Iterator[None]:
    """Act as that role and user; whatever is done is rolled back, and the role is what it was."""
    with connection.transaction(force_rollback=True):
        become(connection, role, user)
        yield
