"""The old application keeps working: what it was promised before phase 1 is still there, and its own statements still run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook import settings
from mantis_runbook.catalog import Catalog
from mantis_runbook.database import Connection, query, rows
from mantis_runbook.errors import Inconclusive
from mantis_runbook.validation import Validated, validate_file

__all__ = ["SCRIPTS", "Broken", "Compatibility", "Run", "contract_broken", "run"]

#: Scripts of `sql/compatibility/`, and which actors run each: `service` writes what no signed-in user may.
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "tables": ("authenticated", "service_role", "owner"),
    "triggers": ("authenticated", "service_role", "owner"),
    "views": ("authenticated", "service_role", "owner"),
    "functions": ("authenticated", "service_role", "owner"),
    "service": ("service_role", "owner"),
}

#: Settings that tell the database who acts, in both kinds of installation.
WHO = ("request.jwt.claim.sub", "app.current_user_id")

Class = Mapping[str, str]


@dataclass(frozen=True)
class Broken:
    """A promise to the old application that the catalogue no longer keeps."""

    kind: str
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.why}"


@dataclass(frozen=True)
class Run:
    """One script of the old application's statements, run by one actor."""

    actor: str
    script: str
    validated: Validated


@dataclass(frozen=True)
class Compatibility:
    """The contract with the catalogue of before (None where that was not kept), and the statements by every actor."""

    broken: tuple[Broken, ...] | None
    runs: tuple[Run, ...]

    @property
    def verdict(self) -> str:
        """Pass, fail, or inconclusive: statements alone do not show that every column is as it was."""
        if self.broken or not self.runs or any(run.validated.verdict != "pass" for run in self.runs):
            return "fail"
        return "inconclusive" if self.broken is None else "pass"

    @property
    def failures(self) -> tuple[str, ...]:
        """Each broken promise and each failed statement in a line of its own."""
        failed = [
            f"{run.script} as {run.actor}: {result.name}: {result.found}"
            for run in self.runs
            for result in run.validated.failed
        ]
        return (*map(str, self.broken or ()), *failed)

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record for the catalogue, and one for each script and actor."""
        return [self._contract, *(_record(run) for run in self.runs)]

    @property
    def _contract(self) -> dict[str, Any]:
        head = {"what": "catalogue of before", "actor": "", "statements": 0}
        if self.broken is None:
            return head | {"verdict": "inconclusive", "found": "the catalogue of before phase 1 was not kept"}
        found = "; ".join(map(str, self.broken)) or "everything still there"
        return head | {"verdict": "fail" if self.broken else "pass", "found": found}


def run(connection: Connection, before: Catalog | None, now: Catalog | None = None) -> Compatibility:
    """Hold the catalogue of now against that of before phase 1, and run the old application's statements; leave nothing.

    `now` is read when it is not given. The connection's role is taken for the tables' owner and must be allowed to
    become `authenticated` and `service_role`; what could not be run has failed. Raises `Inconclusive` when there is
    no user with a profile to act for.
    """
    user = _user(connection)
    runs = [
        Run(actor, script, _by(connection, actor, user, script)) for script, actors in SCRIPTS.items() for actor in actors
    ]
    if before is None:
        return Compatibility(None, tuple(runs))
    return Compatibility(tuple(contract_broken(before, now or _catalog(connection))), tuple(runs))


def _catalog(connection: Connection) -> Catalog:
    from mantis_runbook.catalog import snapshot

    return snapshot(connection)
