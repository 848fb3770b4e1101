"""The phases of the strategy: their notebooks, and the verbs each must carry out to have passed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mantis_runbook import settings
from mantis_runbook.errors import ParameterError
from mantis_runbook.verdict import VERBS

__all__ = ["PHASES", "ROLLBACK", "PhaseDefinition", "find", "present", "select"]


@dataclass(frozen=True)
class PhaseDefinition:
    """A phase: its number as text, the notebook that carries it out, and its verbs in their order."""

    number: str
    name: str
    title: str
    verbs: tuple[str, ...] = VERBS

    @property
    def notebook(self) -> Path:
        return settings.notebooks() / f"{self.name}.ipynb"


PHASES = (
    PhaseDefinition(
        "0",
        "00_preparation",
        "Preparation",
        ("precheck", "approve", "migrate", "back_up", "prove", "validate", "compare"),
    ),
    PhaseDefinition("1", "01_core_enhancements", "Core enhancements"),
    PhaseDefinition("2", "02_crm_sales", "CRM and sales"),
    PhaseDefinition("3", "03_financial_management", "Financial management"),
    PhaseDefinition("4", "04_advanced_features", "Advanced features"),
    PhaseDefinition(
        "5",
        "05_final_validation",
        "Final validation",
        ("precheck", "integrity", "validate", "tenants", "compatibility", "criteria"),
    ),
)


ROLLBACK = PhaseDefinition("rollback", "90_rollback", "Rollback", ("choose", "confirm", "carry_out"))


def present() -> tuple[PhaseDefinition, ...]:
    """The phases whose notebooks exist."""
    return tuple(phase for phase in PHASES if phase.notebook.is_file())


def find(number: str) -> PhaseDefinition:
    """The phase of that number. Raises `ParameterError` for an unknown one."""
    for phase in present():
        if phase.number == number:
            return phase
    raise ParameterError(
        "phase",
        found=repr(number),
        expected="one of " + ", ".join(phase.number for phase in present()),
        action="choose one of them",
    )


def select(text: str) -> tuple[PhaseDefinition, ...]:
    """The phases meant by `all`, `1`, `0-1` or `0,2`. Raises `ParameterError` when the text means none."""
    if text == "all":
        return present()
    chosen: list[PhaseDefinition] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if dash:
            numbers = [phase.number for phase in present() if find(first).number <= phase.number <= find(last).number]
            chosen += [find(number) for number in numbers]
        else:
            chosen.append(find(first))
    if not chosen:
        raise ParameterError("phases", found=repr(text), expected="all, a number, or a range such as 0-1")
    return tuple(sorted(set(chosen), key=lambda phase: phase.number))
