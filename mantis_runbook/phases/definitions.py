"""The phases of an application, read from its notebooks: their order, their names, and the verbs
that each must carry out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mantis_runbook import settings
from mantis_runbook.errors import ParameterError
from mantis_runbook.migrations.files import Migration

__all__ = [
    "PREPARATION",
    "VERBS",
    "PhaseDefinition",
    "find",
    "mission_control",
    "present",
    "refuse_unreached",
    "rollback",
    "select",
]

WAY = ("precheck", "back_up", "prove", "rehearse", "approve", "migrate", "validate", "compare")

#: The kinds of notebooks that there are, and the verbs of each, in their order.
VERBS = {
    "preparation": ("precheck", "approve", "migrate", "back_up", "prove", "validate", "compare"),
    "migration": WAY,
    "finance": WAY,
    "advanced": WAY,
    "final": ("precheck", "integrity", "validate", "tenants", "compatibility", "criteria"),
    "rollback": ("choose", "confirm", "carry_out"),
    "mission control": (),
}

#: The kind of the phase before all others.
PREPARATION = "preparation"

#: Kinds that are no phase: nobody runs them in turn.
BESIDE = ("rollback", "mission control")

#: Kinds that know no application: where it has no notebook of such a kind, the runbook's own is
#: used.
OF_ANY_APPLICATION = (PREPARATION, *BESIDE)

#: What a notebook declares in its first cell: `# Phase 1 · Core enhancements`, and below it
#: `**Kind.** Migration.`
TITLE = re.compile(r"(?m)^# +(?:Phase +(?P<number>\S+) +· +)?(?P<title>\S.*?) *$")
KIND = re.compile(r"(?m)^\*\*Kind\.\*\* +(?P<kind>[A-Za-z ]+?)\.? *$")

EXPECTED = (
    "`# Phase 1 · Its title` and, in a line of its own, `**Kind.** Migration.` in the first cell,"
    " each once"
)


@dataclass(frozen=True)
class PhaseDefinition:
    """A phase: its number as text, the notebook that carries it out, its title and its kind."""

    number: str
    notebook: Path
    title: str
    kind: str = "migration"

    @property
    def name(self) -> str:
        """The notebook's name, without its ending."""
        return self.notebook.stem

    @property
    def verbs(self) -> tuple[str, ...]:
        """What must be carried out, in this order, for the phase to have passed."""
        return VERBS[self.kind]


def present() -> tuple[PhaseDefinition, ...]:
    """The phases that the notebooks declare, in the order of their numbers.

    Raises `ParameterError` for a notebook that declares nothing, or twice, and for two notebooks of
    one phase.
    """
    phases = sorted((one for one in _declared() if one.kind not in BESIDE), key=_order)
    _refuse_twice(phases)
    return tuple(phases)


def rollback() -> PhaseDefinition:
    """The rollback, which takes back the migrations of any phase."""
    return _beside("rollback")


def mission_control() -> PhaseDefinition:
    """The notebook that shows where things stand, and changes nothing."""
    return _beside("mission control")


def find(number: str) -> PhaseDefinition:
    """The phase of that number. Raises `ParameterError` for an unknown one."""
    return _find(present(), number)


def select(text: str) -> tuple[PhaseDefinition, ...]:
    """The phases meant by `all`, `1`, `0-1` or `0,2`. Raises `ParameterError` when the text means
    none.
    """
    known = present()
    if text == "all":
        return known
    chosen: set[PhaseDefinition] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        begins = _find(known, first)
        ends = _find(known, last) if dash else begins
        chosen |= {phase for phase in known if _order(begins) <= _order(phase) <= _order(ends)}
    if not chosen:
        raise ParameterError(
            "phases", found=repr(text), expected="all, a number, or a range such as 0-1"
        )
    return tuple(sorted(chosen, key=_order))


def refuse_unreached(migrations: Iterable[Migration]) -> None:
    """Raise `ParameterError` for a migration of a phase that no notebook declares: nobody would
    ever apply it.
    """
    known = present()
    for migration in migrations:
        if migration.phase not in {phase.number for phase in known}:
            raise ParameterError(
                f"migration {migration.label} belongs to phase {migration.phase}",
                found="no notebook of that phase",
                expected="one of " + ", ".join(phase.number for phase in known),
                action=(
                    "write the notebook, or correct the line `-- phase:` of"
                    f" {migration.up.path.name}"
                ),
            )


def _find(known: Iterable[PhaseDefinition], number: str) -> PhaseDefinition:
    numbered = {phase.number: phase for phase in known}
    if number not in numbered:
        raise ParameterError(
            "phase",
            found=repr(number),
            expected="one of " + ", ".join(numbered),
            action="choose one of them",
        )
    return numbered[number]


def _beside(kind: str) -> PhaseDefinition:
    candidates = [one for one in _declared() if one.kind == kind]
    _refuse_twice(candidates)
    return candidates[0]


def _declared() -> list[PhaseDefinition]:
    """What the application's notebooks declare, and the runbook's own of the kinds that the
    application has none of.
    """
    theirs = [_read(path) for path in sorted(settings.notebooks().glob("*.ipynb"))]
    kinds = {phase.kind for phase in theirs}
    ours = (_read(path) for path in sorted(settings.own_notebooks().glob("*.ipynb")))
    return [
        *theirs,
        *(phase for phase in ours if phase.kind in OF_ANY_APPLICATION and phase.kind not in kinds),
    ]


def _read(path: Path) -> PhaseDefinition:
    text = _first_cell(path)
    titles, kinds = list(TITLE.finditer(text)), [one["kind"].lower() for one in KIND.finditer(text)]
    if len(titles) != 1 or len(kinds) != 1:
        lines = [one[0].strip() for one in (*titles, *KIND.finditer(text))]
        raise ParameterError(
            f"notebooks/{path.name} does not say which phase it is",
            found="; ".join(lines) or "neither a title nor a kind",
            expected=EXPECTED,
            action="correct its first cell",
        )
    (title,), (kind,) = titles, kinds
    if kind not in VERBS:
        raise ParameterError(
            f"notebooks/{path.name}", found=f"kind {kind}", expected="one of " + ", ".join(VERBS),
            action="correct the line `**Kind.**` of its first cell",
        )  # fmt: skip
    number = title["number"] or ""
    if kind in BESIDE and not number:
        return PhaseDefinition(kind, path, title["title"], kind)
    if kind in BESIDE or not re.fullmatch(r"0|[1-9]\d*", number):
        raise ParameterError(
            f"notebooks/{path.name}",
            found=f"{title[0].strip()!r} for the kind {kind}",
            expected="`# Rollback`, without a number"
            if kind in BESIDE
            else "a number, as in `# Phase 1 · Its title`",
            action="correct the title in its first cell",
        )
    if (kind == PREPARATION) != (number == "0"):
        raise ParameterError(
            f"notebooks/{path.name}", found=f"phase {number} of the kind {kind}",
            expected=f"phase 0 for the kind {PREPARATION}, and another number for every other kind",
            action="correct its first cell",
        )  # fmt: skip
    return PhaseDefinition(number, path, title["title"], kind)


def _first_cell(path: Path) -> str:
    """The source of the first cell; empty where that is no text."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        source = cells[0]["source"] if cells and cells[0]["cell_type"] == "markdown" else ""
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParameterError(
            f"notebooks/{path.name} cannot be read",
            found=f"no notebook ({error})",
            expected="a Jupyter notebook",
            action="restore it from version control",
        ) from None
    return source if isinstance(source, str) else "".join(source)


def _refuse_twice(phases: Iterable[PhaseDefinition]) -> None:
    named: dict[str, str] = {}
    for phase in phases:
        other = named.setdefault(phase.number, phase.notebook.name)
        if other != phase.notebook.name:
            what = f"phase {phase.number}" if phase.kind not in BESIDE else f"the {phase.kind}"
            raise ParameterError(
                f"{what} is declared twice",
                found=f"notebooks/{other} and notebooks/{phase.notebook.name}",
                expected="one notebook a phase",
                action="give one of them another number, or remove it",
            )


def _order(phase: PhaseDefinition) -> int:
    return int(phase.number)
