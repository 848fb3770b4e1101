"""Connections to the target: how they are opened, what they are set to, and whom they reached."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from mantis_runbook import settings
from mantis_runbook.errors import PoolerRefused, TargetError
from mantis_runbook.target import Target

__all__ = [
    "GIVING_WAY", "OLDEST", "SCHEMA", "SESSION", "Connection", "Identity", "connect", "identity", "may_set", "query",
    "refuse_pooler", "rows", "settle",
]  # fmt: skip

Connection = psycopg.Connection[Any]

#: The runbook's own schema: journal, fence, canaries, monitoring functions.
SCHEMA = "mantis_runbook"

#: Oldest server version the runbook supports.
OLDEST = 14

CONNECT_TIMEOUT_S = 10

#: Every session of ours. What changes text output is pinned, since text is hashed and compared.
SESSION = {
    "lock_timeout": "100ms",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "10min",
    "client_connection_check_interval": "200ms",
    "search_path": "public, mantis_runbook, pg_temp",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "row_security": "off",
    "standard_conforming_strings": "on",
    "client_min_messages": "warning",
    # Validations assert: switched off for the database, they would all pass.
    "plpgsql.check_asserts": "on",
}

#: For sessions that lock the application's tables. Autovacuum gives way to whoever waits for its lock this long, and in a
#: deadlock whoever looks first is the victim. The default of a second lies beyond our lock timeout, so that neither would
#: happen: https://www.postgresql.org/docs/current/runtime-config-locks.html
GIVING_WAY = {"deadlock_timeout": "20ms"}

#: Sets each setting, but those that only a superuser may, or who was granted SET on them: without, they stay.
MAY_SET = """
    SELECT set_config(wanted.name, wanted.value, false)
    FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)
    LEFT JOIN pg_settings USING (name)
    WHERE context IS DISTINCT FROM 'superuser' OR has_parameter_privilege(wanted.name, 'SET')
"""
SUPERUSER = "current_setting('is_superuser') = 'on'"
MAY_SET_BEFORE_15 = MAY_SET.replace("has_parameter_privilege(wanted.name, 'SET')", SUPERUSER)


@dataclass(frozen=True)
class Identity:
    """Which database this is, beyond its name: what a plan is bound to."""

    system_identifier: str
    database: str
    database_oid: int
    server_version: int
    role: str

    @property
    def major(self) -> int:
        return self.server_version // 10_000

    @property
    def version_text(self) -> str:
        return f"{self.major}.{self.server_version % 10_000}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def connect(target: Target, purpose: str, **session: str) -> Connection:
    """An autocommit connection with the runbook's session settings; `session` overrides single ones.

    Transactions are opened with `connection.transaction()`. Raises `TargetError` when nobody answers, the password
    is wrong, the database does not exist, or the server is too old; the message never holds a secret. Behind a pooler
    in transaction mode it raises `PoolerRefused` before it sets anything: the settings would stay in a session that
    the pooler then hands to the application.
    """
    connection = _open(target, purpose)
    try:
        _refuse_old(connection, target)
        if _is_pooled(connection):
            refuse_pooler(target)
        settle(connection, **session)
    except BaseException:
        connection.close()
        raise
    return connection


def settle(connection: Connection, **session: str) -> None:
    """The session's settings as ours must be, `session` beside or over them. What the role may not set stays as it is."""
    wanted = SESSION | session
    connection.execute(
        MAY_SET if connection.info.server_version >= 150_000 else MAY_SET_BEFORE_15,
        (list(wanted), list(wanted.values())),
    )


def may_set(connection: Connection, parameter: str) -> bool:
    """Whether our role may set a parameter that takes a superuser, or from PostgreSQL 15 on a grant of SET on it."""
    asked = "has_parameter_privilege(%s, 'SET')" if connection.info.server_version >= 150_000 else SUPERUSER
    return bool(rows(connection, f"SELECT {asked} AS may", (parameter,) if "%s" in asked else ())[0]["may"])


def _open(target: Target, purpose: str) -> Connection:
    try:
        ours = {"application_name": f"mantis-runbook/{purpose}", "connect_timeout": str(CONNECT_TIMEOUT_S)}
        conninfo = make_conninfo("", **(target.parameters | ours))
        return psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise TargetError(
            f"cannot connect to target {target.name}",
            found=_reason(error, target),
            action="check that the server runs and that the reference names the right host, database and user",
        ) from None


def _refuse_old(connection: Connection, target: Target) -> None:
    found = connection.info.server_version
    if found // 10_000 < OLDEST:
        raise TargetError(
            f"the server of target {target.name} is too old",
            found=f"PostgreSQL {found // 10_000}.{found % 10_000}",
            expected=f"{OLDEST} or newer",
            action="upgrade the server first",
        )


def _is_pooled(connection: Connection) -> bool:
    """Whether somebody answers for the server: a pooler makes up the process id it greets with."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is None or row[0] != connection.info.backend_pid


def _reason(error: psycopg.Error, target: Target) -> str:
    text = " ".join(str(error).split())
    for key in ("password", "passfile", "sslpassword"):
        if secret := target.parameters.get(key):
            text = text.replace(secret, "•••")
    return re.sub(r"^connection failed: ", "", text)


def identity(connection: Connection) -> Identity:
    """Whom this connection reached. Works without superuser rights; raises `TargetError` where even these were taken away."""
    try:
        row = connection.execute(
            "SELECT (SELECT system_identifier::text FROM pg_control_system()), current_database(),"
            " (SELECT oid::bigint FROM pg_database WHERE datname = current_database()), current_setting('server_version_num')::integer, current_user::text"
        ).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise TargetError(
            f"role {connection.info.user} may not ask which server this is",
            found=error.diag.message_primary or "permission denied",
            expected="the system identifier, which a plan is bound to",
            action="GRANT EXECUTE ON FUNCTION pg_control_system() TO this role, in this database",
        ) from None
    assert row is not None
    return Identity(*row)


def query(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (settings.sql() / f"{name}.sql").read_text()


def rows(connection: Connection, statement: str | sql.Composable, parameters: Any = None) -> list[dict[str, Any]]:
    """All rows of a query, each as a dict."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters).fetchall()  # type: ignore[arg-type]


def refuse_pooler(target: Target) -> None:
    """Raise `PoolerRefused` if a pooler shares server sessions between transactions.

    Two connections that are open at once cannot have the same backend, and one connection cannot change it.
    """
    with _open(target, "pooler check") as first, _open(target, "pooler check") as second:
        before = first.execute("SELECT pg_backend_pid()").fetchone()
        with second.transaction():
            other = second.execute("SELECT pg_backend_pid()").fetchone()
            # One server session for both: asking the first again would wait for the second's transaction to end.
            after = before if before == other else first.execute("SELECT pg_backend_pid()").fetchone()
    if before == other or before != after:
        raise PoolerRefused(
            f"target {target.name} is reached through a pooler in transaction mode",
            found="one server session serving two connections",
            expected="a direct connection: session locks and session settings do not survive such a pooler",
            action="name the server itself (its own port) as the target",
        )
