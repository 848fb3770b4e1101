"""Opening a phase: the first cell of every notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mantis_runbook import phases
from mantis_runbook.advanced_phase import AdvancedPhase
from mantis_runbook.final_phase import FinalPhase
from mantis_runbook.finance_phase import FinancePhase
from mantis_runbook.migration_phase import MigrationPhase
from mantis_runbook.parameters import AdvancedParameters, Parameters, RollbackParameters, read
from mantis_runbook.preparation import Preparation
from mantis_runbook.rollback_phase import LookOnly, RollbackPhase
from mantis_runbook.run import open_run
from mantis_runbook.target import resolve

__all__ = ["open", "open_rollback"]


#: Kinds of phases that need more than the way every phase goes.
KINDS: dict[str, type[Preparation | FinancePhase | AdvancedPhase | FinalPhase]] = {
    "preparation": Preparation,
    "finance": FinancePhase,
    "advanced": AdvancedPhase,
    "final": FinalPhase,
}

#: Kinds whose notebooks take more parameters than every phase's.
PARAMETERS: dict[str, type[Parameters]] = {"advanced": AdvancedParameters}


def open(number: str, namespace: Mapping[str, Any]) -> MigrationPhase | FinalPhase:
    """The phase of that number, for the run that the notebook's parameters name: `phase.open("1", globals())`.

    Raises `ParameterError`, before anything else is done, when a parameter is unknown, of the wrong type or meaningless.
    """
    definition = phases.find(number)
    parameters = read(namespace, PARAMETERS.get(definition.kind, Parameters))
    run = open_run(parameters.target, parameters.environment, parameters.operator, parameters.run)
    opened = KINDS.get(definition.kind, MigrationPhase)(run, definition, parameters)
    opened.begin()
    return opened


def open_rollback(namespace: Mapping[str, Any]) -> RollbackPhase | LookOnly:
    """The rollback, for the run that the notebook's parameters name; without a version, only a look at what could be."""
    parameters = read(namespace, RollbackParameters)
    if not parameters.version:
        return LookOnly(resolve(parameters.target))
    run = open_run(parameters.target, parameters.environment, parameters.operator, parameters.run, part="rollback")
    opened = RollbackPhase(run, phases.rollback(), parameters)
    opened.begin()
    return opened
