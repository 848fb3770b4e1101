"""What no migration may break: tenants stay apart, and the old application keeps working. Tried on the rehearsal's copy."""

from __future__ import annotations

from dataclasses import dataclass

from mantis_runbook import compatibility, tenants
from mantis_runbook.catalog import Catalog
from mantis_runbook.compatibility import Compatibility
from mantis_runbook.database import connect
from mantis_runbook.display import many
from mantis_runbook.errors import Inconclusive
from mantis_runbook.evidence import Table
from mantis_runbook.ledger import StepJournal
from mantis_runbook.target import Target
from mantis_runbook.tenants import Separation

__all__ = ["Promises", "kept"]


@dataclass(frozen=True)
class Promises:
    """Both proofs. `untried` says why tenants could not be tried, where there are not two of them."""

    tenants: Separation | None
    compatibility: Compatibility
    untried: str = ""

    @property
    def problems(self) -> list[str]:
        """What is broken, in sentences; empty when both are kept."""
        leaks = self.tenants.leaks if self.tenants else ()
        found = [f"tenants are not apart: {one.table}: {one.attempt}: {one.found}" for one in leaks]
        return [*found, *(f"the old application would not work: {one}" for one in self.compatibility.failures)]

    @property
    def summary(self) -> str:
        """In a few words, for the evidence's one line."""
        crossed = (
            f"{many(len(self.tenants.attempts), 'attempt')} to cross between tenants" if self.tenants else self.untried
        )
        return f"{crossed}, {len(self.compatibility.records)} parts of the old application's contract"

    @property
    def tables(self) -> tuple[Table, ...]:
        apart = self.tenants.records if self.tenants else [{"table": "", "verdict": "warn", "found": self.untried}]
        contract, red = self.compatibility.records, bool(self.problems)
        return (
            Table(f"tenant isolation, {len(apart)} tables, views and functions", apart, "verdict", folded=not red),
            Table(f"compatibility contract, {len(contract)} parts", contract, "verdict", folded=not red),
        )


def kept(scratch: Target) -> Promises:
    """Try both on a copy: acting as the users of two tenants, and running the old application's own statements.

    All of it is rolled back; a copy because its rows and locks are nobody else's there.
    """
    separation, untried = None, ""
    with connect(scratch, "promises") as connection:
        try:
            separation = tenants.prove(connection)
        except Inconclusive as error:
            untried = str(error)
        text = StepJournal(connection, "", "").catalog_before("001")
        works = compatibility.run(connection, Catalog.from_json(text) if text else None)
    return Promises(separation, works, untried)
