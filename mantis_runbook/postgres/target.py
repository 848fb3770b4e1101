"""Which database is meant: a reference, and the connection it stands for."""

from __future__ import annotations

import json
import os
import pwd
import re
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from mantis_runbook import settings
from mantis_runbook.errors import TargetError
from mantis_runbook.postgres import services

__all__ = ["SANDBOX_STATE", "Target", "resolve", "sandbox_folder"]

SANDBOX_STATE = "state.json"

#: The strategy's variables and the libpq keywords they stand for.
STRATEGY_VARIABLES = {"DB_HOST": "host", "DB_PORT": "port", "DB_NAME": "dbname", "DB_USER": "user"}
STRATEGY_DEFAULTS = {"host": "localhost", "port": "5432", "dbname": "mantis_db", "user": "postgres"}

#: Said explicitly, though empty: what is left open, libpq fills from the service that PGSERVICE
#: names.
NOWHERE_ELSE = {"host": "", "hostaddr": "", "port": "5432", "password": "", "options": ""}

WAYS = (
    "sandbox, a service of pg_service.conf, PG (the PG* variables), DB (the strategy's DB_HOST,"
    " DB_PORT, DB_NAME, DB_USER), or the name of a variable that holds a DSN"
)


@dataclass(frozen=True)
class Target:
    """A reference to a database. `name` may be written anywhere; the parameters are never shown."""

    name: str
    kind: str
    parameters: dict[str, str] = field(repr=False)

    @property
    def is_sandbox(self) -> bool:
        return self.kind == "sandbox"

    def database(self, dbname: str) -> Target:
        """The same server, another database."""
        return Target(self.name, self.kind, self.parameters | {"dbname": dbname})

    def complete(self) -> dict[str, str]:
        """All that a connection needs, for sessions and programs alike; always with a database.

        What is written wins over what the service says, and that over the environment, as with
        libpq. The service is resolved here: named to a program, it would override the database that
        we mean.
        """
        is_pg = self.kind == "PG"
        service = self.parameters.get("service") or (
            os.environ.get("PGSERVICE", "") if is_pg else ""
        )
        variables = {
            key: os.environ[name]
            for key, name in services.keywords().items()
            # What the caller's environment says of other databases must not leak into this
            # connection.
            if os.environ.get(name) and (is_pg or key not in ("hostaddr", "options"))
        }
        of_service = services.parameters(service) if service else {}
        parameters = NOWHERE_ELSE | variables | of_service | self.parameters
        parameters.pop("service", None)
        parameters.pop("servicefile", None)
        parameters["user"] = parameters.get("user") or _account()
        parameters["dbname"] = parameters.get("dbname") or parameters["user"]
        return parameters


def _account() -> str:
    """Who libpq takes for the user when none is named; empty where the account has no name (a
    container's).
    """
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def sandbox_folder() -> Path:
    """Where the sandbox lives: `MANTIS_RUNBOOK_SANDBOX`, or `.sandbox/` of the project."""
    return Path(os.environ.get("MANTIS_RUNBOOK_SANDBOX") or settings.home() / ".sandbox")


def resolve(name: str = "") -> Target:
    """The target of that name; the sandbox when none is given.

    Raises `TargetError` when the name means nothing, means two things, or is itself a DSN (a secret
    would be written into every report).
    """
    name = name or "sandbox"
    if "=" in name or "://" in name:
        raise TargetError(
            "target",
            found="a connection string",
            expected=WAYS,
            action=(
                "put the connection string into a variable and give the variable's name, so that no"
                " secret is recorded"
            ),
        )
    if name == "sandbox":
        return _sandbox()
    if name == "PG":
        return _readable(Target(name, "PG", _pg_variables()))
    if name == "DB":
        return _strategy_variables()
    is_service, variable = name in services.names(), os.environ.get(name)
    if is_service and variable is not None:
        raise TargetError(
            f"target {name}",
            found="a service and a variable of that name",
            expected="one of them",
            action="rename one",
        )
    if is_service:
        return _readable(Target(name, "service", {"service": name}))
    if variable is not None:
        return _readable(Target(name, "variable", _parse(name, variable)))
    raise TargetError(
        f"target {name!r} is unknown", expected=WAYS, action="choose one with --target"
    )


def _readable(target: Target) -> Target:
    """The same; raises `TargetError` now rather than at the first connection, where its service
    says what nobody understands.
    """
    target.complete()
    return target


def _sandbox() -> Target:
    path = sandbox_folder() / SANDBOX_STATE
    if not path.exists():
        raise TargetError(
            "the sandbox is not running", action="start it with `mantis-runbook sandbox start`"
        )
    return Target("sandbox", "sandbox", dict(json.loads(path.read_text())["parameters"]))


def _pg_variables() -> dict[str, str]:
    if not any(name.startswith("PG") and value for name, value in os.environ.items()):
        raise TargetError(
            "target PG",
            found="no PG* variable",
            expected="at least PGHOST or PGSERVICE",
            action="set them",
        )
    return {}


def _strategy_variables() -> Target:
    given = {
        key: os.environ[name] for name, key in STRATEGY_VARIABLES.items() if os.environ.get(name)
    }
    if not given:
        raise TargetError(
            "target DB",
            found="none of its variables",
            expected=", ".join(STRATEGY_VARIABLES),
            action="set them",
        )
    return Target("DB", "DB", STRATEGY_DEFAULTS | given)


def _parse(name: str, value: str) -> dict[str, str]:
    try:
        parameters = {
            key: str(val) for key, val in conninfo_to_dict(value).items() if val is not None
        }
    except psycopg.ProgrammingError:
        parameters = {}
    if not parameters or not re.search(r"=|://", value):
        raise TargetError(
            f"variable {name}",
            found="a value that is no connection string",
            expected="postgresql://… or key=value …",
            action="correct the variable",
        )
    return parameters
