"""A phase that migrates: check, back up, prove, rehearse, approve, migrate, validate, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from mantis_runbook.phases import watched_pictures
from mantis_runbook.phases.copy import PhaseCopy
from mantis_runbook.phases.phase_plan import show_plan
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.phases.recorded_phase import RecordedPhase
from mantis_runbook.phases.verbs.approving import approve
from mantis_runbook.phases.verbs.backing_up import back_up
from mantis_runbook.phases.verbs.comparing import compare
from mantis_runbook.phases.verbs.migrating import migrate
from mantis_runbook.phases.verbs.prechecking import precheck
from mantis_runbook.phases.verbs.proving import prove
from mantis_runbook.phases.verbs.rehearsing import rehearse
from mantis_runbook.phases.verbs.undoing import undo_where_asked
from mantis_runbook.phases.verbs.validating import validate
from mantis_runbook.runs.evidence import Evidence

__all__ = ["Around", "MigrationPhase", "Verb"]

#: What carries out a verb, given the phase's record.
Verb = Callable[[PhaseRecord], Evidence]

#: What a phase does besides, around a verb: it is given the verb, and calls it or stands in for it.
Around = Callable[[PhaseRecord, Verb], Evidence]


class MigrationPhase(RecordedPhase):
    """The verbs of one phase, on one run. Calling a verb again shows what it found the first
    time.
    """

    #: Verb → what this kind of phase does around it.
    around: ClassVar[Mapping[str, Around]] = {}

    def precheck(self) -> Evidence:
        """Read only: is everything as the phase needs it? Raises `PrecheckFailed` when it is
        not.
        """
        return self._do("precheck", precheck)

    def back_up(self) -> Evidence:
        """Dump and fingerprint the database from one snapshot."""
        return self._do("back_up", back_up)

    def prove(self) -> Evidence:
        """Restore the dump into a scratch database and compare it with the snapshot."""
        return self._do("prove", prove)

    def rehearse(self) -> Evidence:
        """Apply, validate, roll back and apply again, on the restored copy."""
        return self._do("rehearse", rehearse)

    def plan(self) -> Evidence:
        """What will run, and the hash that approves it. Reads only; it can be shown at any time."""
        return show_plan(self.record)

    def approve(self, answer: str = "") -> Evidence:
        """Bind the approval to this plan. Raises `ApprovalMissing` where one is needed and none, or
        another, is given.
        """
        return self._do("approve", partial(approve, answer=answer))

    def migrate(self) -> Evidence:
        """Carry the migrations out, or what is left of them. One that fails is rolled back where
        the environment says so.
        """
        return self._do("migrate", migrate, partial(undo_where_asked, self.record))

    def validate(self) -> Evidence:
        """Every validation of the phase. One that fails rolls the phase back where the environment
        says so.
        """
        return self._do("validate", validate, partial(undo_where_asked, self.record))

    def compare(self) -> Evidence:
        """Before beside after: predicted and actual durations, rows then and now."""
        return self._do("compare", compare)

    def latency(self) -> Any:
        """The probe's picture: latency over time, the steps drawn in."""
        return watched_pictures.latency(self.run, self.number)

    def monitoring(self) -> Any:
        """The monitor's picture: connections, waiting, query time and cache hits while the phase
        migrated.
        """
        return watched_pictures.monitoring(self.run, self.number)

    def conclude(self) -> Evidence:
        """The phase's verdict, from the journal alone; the copy is dropped once it is judged."""
        is_judged = self.record.entries[-1].event == "phase.finished"
        concluded = super().conclude()
        if not is_judged:
            PhaseCopy(self.record).drop()
        return concluded

    def _do(
        self, name: str, verb: Verb, after_failure: Callable[[Exception], None] | None = None
    ) -> Evidence:
        """The verb, once, with what this kind of phase does around it."""
        around = self.around.get(name)
        work = partial(around, self.record, verb) if around else partial(verb, self.record)
        return self.record.once(name, work, after_failure)
