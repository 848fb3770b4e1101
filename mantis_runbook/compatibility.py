"""The old application keeps working: its own statements, run by everyone who runs them, and the contract with the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from mantis_runbook import settings
from mantis_runbook.acting import acting, own_role
from mantis_runbook.catalog import Catalog, snapshot
from mantis_runbook.contract import Broken, contract_broken
from mantis_runbook.database import Connection, query, rows
from mantis_runbook.errors import Inconclusive
from mantis_runbook.migrations import Script, read_script
from mantis_runbook.validation import Validated, ValidationResult, validate

__all__ = ["SCRIPTS", "Broken", "Compatibility", "Run", "contract_broken", "run"]

#: Scripts of `sql/compatibility/`, and who runs each; `service` holds what no signed-in user may write. The owner is
#: whoever the connection is.
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "tables": ("authenticated", "service_role", "owner"),
    "triggers": ("authenticated", "service_role", "owner"),
    "views": ("authenticated", "service_role", "owner"),
    "functions": ("authenticated", "service_role", "owner"),
    "service": ("service_role", "owner"),
}


@dataclass(frozen=True)
class Run:
    """One script of the old application's statements, run by one actor."""

    actor: str
    script: str
    validated: Validated


@dataclass(frozen=True)
class Compatibility:
    """What the catalogue no longer keeps (None where that of before is not known), and the statements by every actor."""

    broken: tuple[Broken, ...] | None
    runs: tuple[Run, ...]

    @property
    def verdict(self) -> str:
        """pass, fail, or inconclusive: statements alone do not show that every column is as it was."""
        if self.broken or not self.runs or any(run.validated.verdict != "pass" for run in self.runs):
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
    def records(self) -> list[dict[str, Any]]:
        """One record for the catalogue, then one for each script and actor."""
        return [self._contract(), *map(_record, self.runs)]

    def _contract(self) -> dict[str, Any]:
        what = {"what": "catalogue of before phase 1", "actor": "", "statements": 0}
        if self.broken is None:
            return what | {"verdict": "inconclusive", "found": "it was not kept"}
        found = "; ".join(map(str, self.broken)) or "all of it is still there"
        return what | {"verdict": "fail" if self.broken else "pass", "found": found}


def run(connection: Connection, before: Catalog | None) -> Compatibility:
    """Hold the catalogue against that of before phase 1, and run the old application's statements; nothing is left of them.

    The connection is an autocommit one of the tables' owner, who may become `authenticated` and `service_role`; whatever
    could not be run has failed. Raises `Inconclusive` when there is no active user to act for.
    """
    user = _user(connection)
    runs = tuple(run for script, actors in SCRIPTS.items() for run in _runs(connection, script, actors, user))
    broken = None if before is None else tuple(contract_broken(before, snapshot(connection)))
    return Compatibility(broken, runs)


def _record(run: Run) -> dict[str, Any]:
    found = "; ".join(f"{one.name}: {one.found}" for one in run.validated.failed)
    return {
        "what": f"statements on {run.script}",
        "actor": run.actor,
        "statements": len(run.validated.results),
        "verdict": run.validated.verdict,
        "found": found or "all of them succeed",
    }


def _user(connection: Connection) -> str:
    found = rows(connection, query("tenants/two_tenants"))
    if not found:
        raise Inconclusive(
            "the old application's statements were not run", found="no active user with a profile", expected="one",
            action="run it on a database with at least one tenant",
        )  # fmt: skip
    return str(found[0]["user_id"])


def _runs(connection: Connection, name: str, actors: tuple[str, ...], user: str) -> Iterator[Run]:
    script = read_script(settings.sql() / "compatibility" / f"{name}.sql")
    for actor in actors:
        yield Run(actor, name, _by(connection, actor, user, script))


def _by(connection: Connection, actor: str, user: str, script: Script) -> Validated:
    try:
        with acting(connection, *_actor(connection, actor, user)):
            return validate(connection, script)
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error)
        return Validated(script.path.name, (ValidationResult(f"becoming {actor}", "fail", reason),))


def _actor(connection: Connection, actor: str, user: str) -> tuple[str, str]:
    """Role and user: the service acts for nobody; the owner for a user, since it may be under row-level security too."""
    if actor == "owner":
        return own_role(connection), user
    return actor, "" if actor == "service_role" else user
