"""The old application keeps working: its own statements still run, its contract is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from mantis_runbook import application, settings
from mantis_runbook.checks.contract import Broken, contract_broken
from mantis_runbook.checks.tenants.acting import Acts, Guise, acting, own_role
from mantis_runbook.checks.tenants.acts_as import ActsAs
from mantis_runbook.checks.tenants.attempt import bound
from mantis_runbook.checks.tenants.settings import learn, person
from mantis_runbook.checks.tenants.tables import Table
from mantis_runbook.checks.validations import Validated, ValidationResult, validate
from mantis_runbook.errors import Inconclusive
from mantis_runbook.migrations.files import Script, read_script
from mantis_runbook.postgres.catalog import Catalog, snapshot
from mantis_runbook.postgres.connection import Connection, message_of, query, rows

__all__ = [
    "SCRIPTS",
    "Broken",
    "Compatibility",
    "Run",
    "contract_broken",
    "run",
    "user_of",
    "without_statements",
]

#: Scripts of `sql/compatibility/`, and who runs each; `service` holds what no signed-in user may
#: write. The owner is whoever the connection is.
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "tables": ("authenticated", "service_role", "owner"),
    "triggers": ("authenticated", "service_role", "owner"),
    "views": ("authenticated", "service_role", "owner"),
    "functions": ("authenticated", "service_role", "owner"),
    "service": ("service_role", "owner"),
}

#: What a statement ends with that names something which is not there: column, function, table, type
#: or role, schema, enum label, and an actor that nobody can be.
ABSENT = ("42703", "42883", "42P01", "42704", "3F000", "22P02", "becoming")

BECOMING = "becoming"


@dataclass(frozen=True)
class Run:
    """One script of the old application's statements, run by one actor."""

    actor: str
    script: str
    validated: Validated


@dataclass(frozen=True)
class Compatibility:
    """What the catalogue no longer keeps (None where that of before is not known), and the
    statements by every actor.
    """

    broken: tuple[Broken, ...] | None
    runs: tuple[Run, ...]

    @property
    def verdict(self) -> str:
        """pass, fail, or inconclusive: statements alone do not show that every column is as it
        was.
        """
        if (
            self.broken
            or not self.runs
            or any(run.validated.verdict != "pass" for run in self.runs)
        ):
            return "fail"
        return "inconclusive" if self.broken is None else "pass"

    @property
    def failures(self) -> tuple[str, ...]:
        """Each broken promise and each failed statement, in a line of its own."""
        failed = [
            f"{run.script} as {run.actor}: {result.name}: {result.found}"
            for run in self.runs
            for result in run.validated.failed
        ]
        return (*map(str, self.broken or ()), *failed)

    @property
    def failed(self) -> dict[tuple[str, str, str], str]:
        """(script, actor, step) → what each failed statement ended with, its SQLSTATE first where
        it ended in an error.
        """
        return {
            (run.script, run.actor, result.name): (
                f"{result.sqlstate}: {result.found}" if result.sqlstate else result.found
            )
            for run in self.runs
            for result in run.validated.failed
        }

    @staticmethod
    def is_not_applicable(outcome: str) -> bool:
        """Whether a statement that ended so names something this database never had."""
        return outcome.startswith(ABSENT)

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record for the catalogue, then one for each script and actor."""
        return [self._contract(), *map(_record, self.runs)]

    def _contract(self) -> dict[str, Any]:
        what = {"what": "catalogue of before phase 1", "actor": "", "statements": 0}
        if self.broken is None:
            return what | {"verdict": "inconclusive", "found": "it was not kept"}
        differences = "; ".join(map(str, self.broken)) or "all of it is still there"
        return what | {"verdict": "fail" if self.broken else "pass", "found": differences}


def run(
    connection: Connection,
    before: Catalog | None,
    *,
    now: Catalog | None = None,
    who: Acts | None = None,
    watch: Callable[[str], None] = lambda name: None,
) -> Compatibility:
    """Hold the catalogue against that of before phase 1, and run the old application's statements;
    nothing is left of them.

    The connection is an autocommit one of the tables' owner, who may become `authenticated` and
    `service_role`; whatever could not be run has failed. `now` is the catalogue where it was read
    already, `who` the acting user where it is known. Raises `Inconclusive` when there is no active
    user to act for.
    """
    user = who or user_of(connection)
    runs = []
    for script, actors in SCRIPTS.items():
        if not _path(script).parent.is_dir():
            break  # another application's, which has no such list
        watch(f"the old application's statements on {script}")
        runs += list(_runs(connection, script, actors, user))
    broken = None if before is None else tuple(contract_broken(before, now or snapshot(connection)))
    return Compatibility(broken, tuple(runs))


def without_statements(before: Catalog | None, now: Catalog) -> Compatibility:
    """The catalogue alone, where nobody is there to run statements."""
    return Compatibility(None if before is None else tuple(contract_broken(before, now)), ())


def user_of(connection: Connection, acts: ActsAs | None = None) -> Guise:
    """A user of the application, as sessions act here (`acts`, where that is known); nobody in
    particular where it has no tenants. Raises `Inconclusive` when there is none.
    """
    if application.load().tenants is None:
        return Guise()
    with connection.transaction(force_rollback=True):
        bound(connection)
        try:
            tenants = rows(connection, query("tenants/two_tenants"))[:1]
        except psycopg.errors.ProgrammingError as error:
            raise _nobody(f"no way to tell users: {message_of(error)}") from None
        if not tenants:
            raise _nobody("no active user with a profile")
        user = person(connection, tenants[0]["user_id"], tenants[0]["org_id"])
        if acts is None:
            tables = [Table(**row) for row in rows(connection, query("tenants/tables"))]
            acts = learn(connection, own_role(connection), [user], tables)
        return Guise(acts.values(user))


def _nobody(found: str) -> Inconclusive:
    return Inconclusive(
        "the old application's statements were not run",
        found=found,
        expected="one",
        action="run it on a database with at least one tenant",
    )


def _record(run: Run) -> dict[str, Any]:
    failures = "; ".join(f"{one.name}: {one.found}" for one in run.validated.failed)
    return {
        "what": f"statements on {run.script}",
        "actor": run.actor,
        "statements": len(run.validated.results),
        "verdict": run.validated.verdict,
        "found": failures or "all of them succeed",
    }


def _path(name: str) -> Path:
    return settings.sql() / "compatibility" / f"{name}.sql"


def _runs(connection: Connection, name: str, actors: tuple[str, ...], user: Acts) -> Iterator[Run]:
    script = read_script(_path(name))
    for actor in actors:
        yield Run(actor, name, _by(connection, actor, user, script))


def _by(connection: Connection, actor: str, user: Acts, script: Script) -> Validated:
    try:
        with connection.transaction(force_rollback=True):
            bound(connection)
            with acting(connection, *_actor(connection, actor, user)):
                return validate(connection, script, excuses=False)
    except psycopg.Error as error:
        reason = message_of(error)
        return Validated(
            script.path.name, (ValidationResult(f"{BECOMING} {actor}", "fail", reason, BECOMING),)
        )


def _actor(connection: Connection, actor: str, user: Acts) -> tuple[str, Acts]:
    """Role and user: the service acts for nobody; the owner for a user, since it may be under
    row-level security too.
    """
    if actor == "owner":
        return own_role(connection), user
    return actor, Guise(dict.fromkeys(user.settings, "")) if actor == "service_role" else user
