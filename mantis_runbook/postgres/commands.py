"""Command lines of PostgreSQL's programs: without secrets, and proven to reach the database."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from psycopg import sql
from psycopg.conninfo import make_conninfo

from mantis_runbook.errors import TargetError
from mantis_runbook.postgres import programs, services
from mantis_runbook.postgres.connection import (
    SECRETS,
    Connection,
    Identity,
    connect,
    identity,
    query,
)
from mantis_runbook.postgres.programs import Command
from mantis_runbook.postgres.session_settings import CLIENT_ENCODING, program_settings
from mantis_runbook.postgres.target import Target

__all__ = ["aimed", "command", "guard", "is_encrypted", "offline"]

#: What decides where a program arrives, and how: on the command line, where nothing overrides it.
PLACE = ("host", "hostaddr", "port", "dbname", "user", "sslmode")

#: What libpq reads from the environment beside the variables of its keywords.
OTHER_VARIABLES = ("PGSERVICEFILE", "PGREALM", "PGREQUIRESSL", "PGDATESTYLE", "PGTZ", "PGGEQO")

#: Ways of `sslmode` that may end in clear text.
LAX = ("disable", "allow", "prefer")


def command(
    name: str | Path, target: Target, *options: str, settings: Mapping[str, str] | None = None
) -> Command:
    """How to run a program on that database.

    `settings` are the server's, for the program's sessions.

    `name` is a program's name, or its path where another version than the server's is meant. A
    connection through the very same parameters is opened first. Raises `TargetError` where it does
    not reach the database that `target` does, `ProgramMissing` where no program fits the server, or
    none could keep the connection as encrypted as ours is.
    """
    with connect(target, "programs") as connection:
        who, encrypted = identity(connection), is_encrypted(connection)
        place = _reached(target, connection, encrypted=encrypted)
    program = (
        name
        if isinstance(name, Path)
        else programs.find(name, server=who.major, encrypted=encrypted)
    )
    if encrypted:
        programs.refuse_clear(program)
    _require_same(program.name, place, who)
    wanted = program_settings(who.major) | dict(settings or {})
    return aimed(program, place, *options, settings=wanted, who=who)


def aimed(
    program: Path,
    place: Target,
    *options: str,
    settings: Mapping[str, str] | None = None,
    who: Identity | None = None,
) -> Command:
    """The command line itself, without a look at the server: `command` is for whoever works on a
    database.
    """
    parameters = place.complete()
    _refuse_secrets(program.name, parameters)
    variables, explicit = services.keywords(), () if program.name == "pg_repack" else PLACE
    given = {key: value for key, value in parameters.items() if value}
    ours = {
        variables[key]: value
        for key, value in given.items()
        if key not in explicit and variables.get(key)
    }
    shown = {key: value for key, value in given.items() if key in PLACE or not variables.get(key)}
    if settings:
        words = " ".join(f"-c {key}={_escaped(value)}" for key, value in settings.items())
        ours["PGOPTIONS"] = f"{ours.get('PGOPTIONS', '')} {words}".strip()
    first = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"] if program.name == "psql" else []
    if first and who:
        first.append(f"--command={guard(who)}")
    arguments = _pointed(program.name, shown, [*first, *options])
    ours["PGCLIENTENCODING"] = CLIENT_ENCODING
    return Command((str(program), *arguments), clean_environment() | ours)


def offline(name: str, *options: str, server: int) -> Command:
    """How to run a program that reads a file and no database."""
    return Command((str(programs.find(name, server=server)), *options), clean_environment())


def is_encrypted(connection: Connection) -> bool:
    """Whether the session runs over TLS."""
    return bool(connection.pgconn.ssl_in_use)


def clean_environment() -> dict[str, str]:
    """Our environment without anything that could lead a program to a database."""
    theirs = {*services.keywords().values(), *OTHER_VARIABLES}
    return {name: value for name, value in os.environ.items() if name not in theirs}


def _reached(target: Target, connection: Connection, *, encrypted: bool) -> Target:
    """The target as this session reached it: of several hosts this one, and no less encrypted."""
    parameters, info = target.complete(), connection.info
    parameters |= {"host": info.host, "port": str(info.port), "hostaddr": info.hostaddr or ""}
    if info.host.startswith(("/", "@")):
        parameters["hostaddr"] = ""
    if encrypted and (parameters.get("sslmode") or "prefer") in LAX:
        parameters["sslmode"] = "require"
    return Target(target.name, target.kind, parameters)


def _require_same(program: str, place: Target, who: Identity) -> None:
    with connect(place, "programs") as connection:
        reached = identity(connection)
    if reached != who:
        raise TargetError(
            f"{program} would not reach the database of target {place.name}",
            found=f"database {reached.database} of system {reached.system_identifier}",
            expected=f"database {who.database} of system {who.system_identifier}",
            action=(
                "name one server directly: what stands between sends each connection somewhere else"
            ),
        )


def _refuse_secrets(program: str, parameters: Mapping[str, str]) -> None:
    """libpq has no variable for these, and every user of the machine reads arguments."""
    shown = [key for key in SECRETS if parameters.get(key) and not services.keywords().get(key)]
    if shown:
        raise TargetError(
            f"{program} cannot be given {', '.join(shown)} without showing it to every user of this"
            " machine",
            found=f"{', '.join(shown)} among the connection's parameters",
            expected="secrets that libpq reads from a variable or a file",
            action=(
                "use a key without a passphrase that only you can read, or a password (PGPASSFILE)"
            ),
        )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def guard(who: Identity, hint: str = "") -> str:
    """What psql does first, in the very session of the script: it ends where this is another
    database.
    """
    statement = sql.SQL(query("programs/guard").strip()).format(
        database=sql.Literal(who.database),
        system=sql.Literal(who.system_identifier),
        hint=sql.Literal(hint or "name the server directly, without a pooler between"),
    )
    return statement.as_string(None)


def _pointed(program: str, parameters: Mapping[str, str], options: list[str]) -> list[str]:
    """Each program has its own way to take a connection string."""
    if (
        program == "pg_repack"
    ):  # it takes no connection string; what it has no option for is in its environment
        ways = {"dbname": "--dbname", "host": "--host", "port": "--port", "user": "--username"}
        return [
            *(f"{ways[key]}={value}" for key, value in parameters.items() if key in ways),
            *options,
        ]
    conninfo = make_conninfo("", **parameters)
    if program == "pgbench":
        return [*options, conninfo]
    if (
        program == "pg_dumpall"
    ):  # it takes the database from there alone, and a name with "=" for a connection string
        initial = make_conninfo("", dbname=parameters["dbname"])
        return [f"--dbname={conninfo}", f"--database={initial}", *options]
    return [f"--dbname={conninfo}", *options]
