"""The copy that is restored from a phase's backup: made, adopted and dropped, and what was seen on
it.
"""

from __future__ import annotations

from functools import cached_property

from mantis_runbook.backup import backup
from mantis_runbook.backup import scratch as scratch_databases
from mantis_runbook.backup.backup import Backup
from mantis_runbook.backup.scratch import Mark
from mantis_runbook.checks import promises
from mantis_runbook.checks.learnt_statements import statements as statements_learnt
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import Refused
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.postgres import target as targets
from mantis_runbook.postgres.target import Target

__all__ = ["PhaseCopy"]


class PhaseCopy:
    """The scratch database of one phase in one run: the backup is proven on it, and the migration
    rehearsed.
    """

    def __init__(self, record: PhaseRecord) -> None:
        self._record, self._run = record, record.run

    @property
    def backup(self) -> Backup:
        """The backup that this phase took in this run."""
        return Backup.from_dict(self._record.facts("back_up")["backup"])

    @cached_property
    def server(self) -> Target:
        """Where backups are restored: beside the target where the environment allows it, else a
        server that was named.
        """
        if self._record.parameters.scratch:
            server = targets.resolve(self._record.parameters.scratch)
            if self._run.environment.scratch == "other":
                scratch_databases.refuse_same_server(
                    self._run.target, server, self._run.environment.name
                )
            return server
        if self._run.environment.scratch == "beside":
            return self._run.target
        raise Refused(
            f"environment {self._run.environment.name} restores backups on another server",
            found="no parameter `scratch`",
            expected="a target on another server",
            action="name one (parameter `scratch`, or --scratch)",
        )

    @property
    def name(self) -> str:
        """The copy's name on that server."""
        return scratch_databases.name_for(self._run, self._record.number)

    @property
    def target(self) -> Target:
        """The copy itself, whether it exists or not."""
        return self.server.database(self.name)

    @property
    def exists(self) -> bool:
        """Whether the copy is there now."""
        return scratch_databases.has_scratch(self.server, self.name)

    def create(self) -> Target:
        """An empty database to restore into, made like the original; one of this name that exists
        is dropped.
        """
        return scratch_databases.create_scratch(
            self.server, self.name, self.backup.likeness, self._mark
        )

    def require_fresh(self) -> None:
        """The restored backup, as it was dumped: restored again if it is gone, or a rehearsal was
        cut off on it.
        """
        if self._record.was_cut("rehearse") or not self.exists:
            backup.prove(self.backup, self.create())
        else:
            scratch_databases.adopt(self.server, self.name, self._mark)

    def drop(self) -> None:
        """Drop the copy, where this phase may have made one."""
        if self._record.parameters.scratch or self._run.environment.scratch == "beside":
            scratch_databases.drop_scratch(self.server, self.name)

    def record_proof(self, name: str, *, is_valid: bool) -> None:
        """Write into the ledger whether a file of the backup is proven, or was found not to be
        valid.
        """
        with self._run.connect("proof") as connection:
            book = Ledger(connection).require()
            book.record_proof(self._record.facts("back_up")["ids"][name], is_valid=is_valid)

    def promises_before(self) -> promises.Before:
        """Both proofs on the copy as it was restored: what does not hold there is nothing that a
        migration did.
        """
        with self._run.read("learnt") as connection:
            learnt = statements_learnt(connection)
        with self._record.proving() as watch:
            return promises.before(self.target, learnt, watch)

    @property
    def _mark(self) -> Mark:
        return scratch_databases.mark_of(
            self._run.name, self._run.target.name, self._run.identity.database
        )
