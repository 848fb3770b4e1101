"""Opening a phase: the first cell of every notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mantis_runbook.phases import definitions
from mantis_runbook.phases.advanced.advanced_phase import AdvancedPhase
from mantis_runbook.phases.final.final_phase import FinalPhase
from mantis_runbook.phases.finance.finance_phase import FinancePhase
from mantis_runbook.phases.migrating_phase import MigrationPhase
from mantis_runbook.phases.parameters import (
    AdvancedParameters,
    Parameters,
    RollbackParameters,
    read,
)
from mantis_runbook.phases.preparation import Preparation
from mantis_runbook.phases.rollback_phase import LookOnly, RollbackPhase
from mantis_runbook.postgres.target import resolve
from mantis_runbook.runs.run import open_run

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
    """The phase of that number, for the run that the notebook's parameters name:
    `notebook.open("1", globals())`.

    Raises `ParameterError`, before anything else is done, when a parameter is unknown, of the wrong
    type or meaningless.
    """
    definition = definitions.find(number)
    parameters = read(namespace, PARAMETERS.get(definition.kind, Parameters))
    run = open_run(parameters.target, parameters.environment, parameters.operator, parameters.run)
    opened = KINDS.get(definition.kind, MigrationPhase)(run, definition, parameters)
    opened.begin()
    return opened


def open_rollback(namespace: Mapping[str, Any]) -> RollbackPhase | LookOnly:
    """The rollback, for the run that the notebook's parameters name; without a version, only a look
    at what could be.
    """
    parameters = read(namespace, RollbackParameters)
    if not parameters.version:
        return LookOnly(resolve(parameters.target))
    run = open_run(
        parameters.target,
        parameters.environment,
        parameters.operator,
        parameters.run,
        part="rollback",
    )
    opened = RollbackPhase(run, definitions.rollback(), parameters)
    opened.begin()
    return opened
