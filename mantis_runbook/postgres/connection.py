"""Connections to the target: how they are opened, what they are set to, and whom they reached."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from mantis_runbook import logs, settings
from mantis_runbook.errors import PoolerRefused, TargetError
from mantis_runbook.postgres.session_settings import ABSENT_IN_SOME, CLIENT_ENCODING, SESSION
from mantis_runbook.postgres.target import Target

__all__ = [
    "ENDED", "GIVING_WAY", "OLDEST", "SCHEMA", "SECRETS", "SESSION", "Connection", "Identity",
    "connect", "identity", "is_lost", "may_set", "message_of", "query", "refuse_pooler",
    "refuse_read_only", "rows", "scalar", "settle",
]  # fmt: skip

Connection = psycopg.Connection[Any]

#: The runbook's own schema: journal, fence, canaries, monitoring functions.
SCHEMA = "mantis_runbook"

#: Oldest server version the runbook supports.
OLDEST = 14

CONNECT_TIMEOUT_S = 10

#: Parameters that are never shown.
SECRETS = (
    "password",
    "passfile",
    "sslpassword",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
)

#: For sessions that lock the application's tables. Autovacuum gives way to whoever waits for its
#: lock this long, and in a deadlock whoever looks first is the victim. The default of a second lies
#: beyond our lock timeout, so that neither would happen:
#: https://www.postgresql.org/docs/current/runtime-config-locks.html
GIVING_WAY = {"deadlock_timeout": "20ms"}

#: SQLSTATEs of sessions that the server ended: by a timeout (the first three), an administrator, a
#: crash, a drop. psycopg has the first two as `InternalError`:
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
ENDED = ("25P03", "25P04", "57P05", "57P01", "57P02", "57P03", "57P04")

#: Sets each setting, but those that only a superuser may, or who was granted SET on them: without,
#: they stay. So do those (third parameter) that this server does not have.
MAY_SET = """
    SELECT set_config(wanted.name, wanted.value, false)
    FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)
    LEFT JOIN pg_settings USING (name)
    WHERE (context IS DISTINCT FROM 'superuser' OR has_parameter_privilege(wanted.name, 'SET'))
      AND (context IS NOT NULL OR wanted.name <> ALL (%s::text[]))
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


class _Logged(psycopg.Cursor[Any]):
    """A cursor that logs what it sends."""

    def execute(self, query: Any, params: Any = None, **how: Any) -> Self:
        self._log(query)
        return super().execute(query, params, **how)

    def executemany(self, query: Any, params_seq: Any, **how: Any) -> None:
        self._log(query)
        super().executemany(query, params_seq, **how)

    def copy(self, statement: Any, params: Any = None, **how: Any) -> Any:
        self._log(statement)
        return super().copy(statement, params, **how)

    def _log(self, query: Any) -> None:
        text = query.as_string(self) if isinstance(query, sql.Composable) else query
        info = self.connection.info
        session = f"{info.dbname} {info.backend_pid} {info.parameter_status('application_name')}"
        logs.statement(
            session, text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        )


def connect(target: Target, purpose: str, **session: str) -> Connection:
    """An autocommit connection with the runbook's session settings; `session` overrides some.

    Transactions are opened with `connection.transaction()`. Raises `TargetError` when nobody
    answers, the password is wrong, the database does not exist, or the server is too old; the
    message never holds a secret. Behind a pooler in transaction mode it raises `PoolerRefused`
    before it sets anything: the settings would stay in a session that the pooler then hands to the
    application. A database whose text nobody can decode (SQL_ASCII) is refused as well.
    """
    connection = _open(target, purpose)
    try:
        _refuse_old(connection, target)
        _refuse_undecodable(connection, target)
        if _is_pooled(connection):
            refuse_pooler(target)
        settle(connection, **session)
    except BaseException:
        connection.close()
        raise
    return connection


def settle(connection: Connection, **session: str) -> None:
    """The session's settings as ours must be, `session` beside or over them.

    What the role may not set stays as it is.
    """
    wanted = SESSION | session
    connection.execute(
        MAY_SET if connection.info.server_version >= 150_000 else MAY_SET_BEFORE_15,
        (list(wanted), list(wanted.values()), list(ABSENT_IN_SOME)),
    )


def may_set(connection: Connection, parameter: str) -> bool:
    """Whether our role may set a parameter that takes a superuser, or from PostgreSQL 15 on a grant
    of SET on it.
    """
    asked = (
        "has_parameter_privilege(%s, 'SET')"
        if connection.info.server_version >= 150_000
        else SUPERUSER
    )
    return bool(
        rows(connection, f"SELECT {asked} AS may", (parameter,) if "%s" in asked else ())[0]["may"]
    )


def _open(target: Target, purpose: str) -> Connection:
    try:
        ours = {
            "application_name": f"mantis-runbook/{purpose}",
            "connect_timeout": str(CONNECT_TIMEOUT_S),
        }
        ours["client_encoding"] = CLIENT_ENCODING
        conninfo = make_conninfo("", **(target.complete() | ours))
        return psycopg.connect(
            conninfo, autocommit=True, cursor_factory=_Logged if logs.is_on() else psycopg.Cursor
        )
    except psycopg.OperationalError as error:
        if "MULE_INTERNAL" in str(
            error
        ):  # the one encoding of servers that has no conversion to UTF-8
            raise _undecodable(target, "MULE_INTERNAL") from None
        raise TargetError(
            f"cannot connect to target {target.name}",
            found=_reason(error, target),
            action=(
                "check that the server runs and that the reference names the right host, database"
                " and user"
            ),
        ) from None


def _refuse_old(connection: Connection, target: Target) -> None:
    version = connection.info.server_version
    if version // 10_000 < OLDEST:
        raise TargetError(
            f"the server of target {target.name} is too old",
            found=f"PostgreSQL {version // 10_000}.{version % 10_000}",
            expected=f"{OLDEST} or newer",
            action="upgrade the server first",
        )


def _refuse_undecodable(connection: Connection, target: Target) -> None:
    if (encoding := connection.info.parameter_status("server_encoding")) == "SQL_ASCII":
        raise _undecodable(target, encoding)


def _undecodable(target: Target, encoding: str) -> TargetError:
    return TargetError(
        f"the database of target {target.name} is in an encoding that cannot be read as text",
        found=encoding,
        expected="UTF8, or another encoding that PostgreSQL converts to it",
        action=(
            "dump it, find out what its bytes are (pg_dump --encoding names it), restore it into a"
            " database with ENCODING 'UTF8', and migrate that one"
        ),
    )


def refuse_read_only(connection: Connection, target: Target) -> None:
    """Raise `TargetError` when nothing can, or shall, be written there: a standby, or sessions that
    begin read-only.
    """
    row = connection.execute(
        "SELECT pg_is_in_recovery(), (SELECT source FROM pg_settings WHERE name ="
        " 'default_transaction_read_only' AND setting = 'on')"
    ).fetchone()
    in_recovery, source = row or (False, None)
    if in_recovery:
        raise TargetError(
            f"target {target.name} is a standby, read-only as long as it is one",
            found="a server in recovery",
            expected="the primary",
            action="name the primary as the target",
        )
    if source:
        raise TargetError(
            f"target {target.name} is read-only",
            found=f"default_transaction_read_only = on, set by {source}",
            expected="off: somebody closed this database for writing, and a migration writes",
            action=(
                "find out why; then ALTER DATABASE (or ROLE, or SYSTEM) … RESET"
                " default_transaction_read_only"
            ),
        )


def is_lost(connection: Connection, error: psycopg.Error) -> bool:
    """Whether the session is gone, whatever class psycopg gives the error: also those that a
    timeout ended.
    """
    return (
        connection.broken
        or connection.closed
        or error.sqlstate in ENDED
        or (error.sqlstate or "")[:2] == "08"
    )


def _is_pooled(connection: Connection) -> bool:
    """Whether somebody answers for the server: a pooler makes up the process id it greets with."""
    return bool(scalar(connection, "SELECT pg_backend_pid()") != connection.info.backend_pid)


def _reason(error: psycopg.Error, target: Target) -> str:
    text = " ".join(str(error).split())
    parameters = target.complete()
    for key in SECRETS:
        if secret := parameters.get(key):
            text = text.replace(secret, "•••")
    return re.sub(r"^connection failed: ", "", text)


def identity(connection: Connection) -> Identity:
    """Whom this connection reached.

    Works without superuser rights; raises `TargetError` where even these were taken away.
    """
    try:
        row = connection.execute(
            "SELECT (SELECT system_identifier::text FROM pg_control_system()), current_database(),"
            " (SELECT oid::bigint FROM pg_database WHERE datname = current_database()),"
            " current_setting('server_version_num')::integer, current_user::text"
        ).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise TargetError(
            f"role {connection.info.user} may not ask which server this is",
            found=message_of(error),
            expected="the system identifier, which a plan is bound to",
            action="GRANT EXECUTE ON FUNCTION pg_control_system() TO this role, in this database",
        ) from None
    assert row is not None
    return Identity(*row)


def query(name: str) -> str:
    """The text of the runbook's `sql/<name>.sql`."""
    return (settings.own_sql() / f"{name}.sql").read_text()


def rows(
    connection: Connection, statement: str | sql.Composable, parameters: Any = None
) -> list[dict[str, Any]]:
    """All rows of a query, each as a dict."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters).fetchall()  # type: ignore[arg-type]


def scalar(connection: Connection, statement: str | sql.Composable, parameters: Any = None) -> Any:
    """The value of a query that has one row; of several columns, the first."""
    row = connection.execute(statement, parameters).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def message_of(error: psycopg.Error) -> str:
    """What the server said, without the rows it may quote below; else what psycopg says."""
    return error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__


def refuse_pooler(target: Target) -> None:
    """Raise `PoolerRefused` if a pooler shares server sessions between transactions.

    Two connections that are open at once cannot have the same backend, and one connection cannot
    change it.
    """
    with _open(target, "pooler check") as first, _open(target, "pooler check") as second:
        before = first.execute("SELECT pg_backend_pid()").fetchone()
        with second.transaction():
            other = second.execute("SELECT pg_backend_pid()").fetchone()
            # One server session for both: asking the first again would wait for the second's
            # transaction to end.
            after = (
                before if before == other else first.execute("SELECT pg_backend_pid()").fetchone()
            )
    if before == other or before != after:
        raise PoolerRefused(
            f"target {target.name} is reached through a pooler in transaction mode",
            found="one server session serving two connections",
            expected=(
                "a direct connection: session locks and session settings do not survive such a"
                " pooler"
            ),
            action="name the server itself (its own port) as the target",
        )
