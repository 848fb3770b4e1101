"""What the phases left on record of one database: newest evidence, verdicts and instants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from mantis_runbook.phases import definitions
from mantis_runbook.phases.definitions import PhaseDefinition
from mantis_runbook.phases.final import criteria
from mantis_runbook.phases.report import cell_anchors
from mantis_runbook.runs import archive
from mantis_runbook.runs.journal import Entry, Journal
from mantis_runbook.runs.run import Run, is_same_database
from mantis_runbook.runs.verdict import phase_verdict

__all__ = ["Earlier"]


@dataclass(frozen=True)
class Earlier:
    """All runs on the very database of `run`, itself among them.

    `since` maps a phase to the run that migrated it, as the database has it: what was found before
    (and rolled back since) says nothing about what is there now.
    """

    run: Run
    since: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def journals(self) -> dict[Path, list[Entry]]:
        """Folder → journal of the runs on this database, oldest first."""
        found = {folder: Journal(folder).entries() for folder in archive.all_runs()}
        return {folder: entries for folder, entries in found.items() if self._is_ours(entries)}

    @cached_property
    def evidence(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Evidence by phase and verb, with its `page` and `run`: of each verb the newest that is
        one.

        A phase that is run again on a migrated database needs nothing; what it would have done was
        found by the run that migrated.
        """
        kept: dict[tuple[str, str], Mapping[str, Any]] = {}
        for phase in definitions.present():
            for folder in reversed(self._runs_of(phase)):
                places = self._places(phase, folder)
                for verb in phase.verbs:
                    found = archive.read_evidence(folder, phase.number, verb)
                    if found and criteria.counts(found):
                        kept.setdefault(
                            (phase.number, verb),
                            found | {"page": places.get(verb, places[""]), "run": folder.name},
                        )
        return kept

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict word of each phase in the newest run that carried it out."""
        newest = {phase: self._runs_of(phase)[-1:] for phase in definitions.present()}
        return {
            phase.number: phase_verdict(self.journals[folder], phase.number, phase.verbs).word
            for phase, found in newest.items()
            for folder in found
        }

    def instants(self, event: str) -> dict[str, datetime]:
        """Phase → when it had this event, in the run that migrated it; else in the newest."""
        found = {}
        for phase in definitions.present():
            for folder in self._runs_of(phase)[-1:]:
                chosen = self.evidence.get((phase.number, "migrate"), {}).get("run", folder.name)
                for entry in self.journals[folder.with_name(chosen)]:
                    if entry.event == event and entry.facts.get("phase") == phase.number:
                        found[phase.number] = entry.time
        return found

    def _is_ours(self, entries: list[Entry]) -> bool:
        began = next((entry.facts for entry in entries if entry.event == "run.started"), {})
        same = is_same_database(began.get("identity", {}), self.run.identity)
        return same and began.get("target") == self.run.target.name

    def _runs_of(self, phase: PhaseDefinition) -> list[Path]:
        """Runs in which the phase passed, and the present one if it came to it."""
        return [
            folder
            for folder, entries in self.journals.items()
            if folder.name >= self.since.get(phase.number, "")
            and any(entry.facts.get("phase") == phase.number for entry in entries)
            and (
                folder == self.run.folder
                or phase_verdict(entries, phase.number, phase.verbs).passed
            )
        ]

    def _places(self, phase: PhaseDefinition, folder: Path) -> dict[str, str]:
        """Verb → where it is to be read; under '' the page: of this run the notebook, of another
        its page in the archive.
        """
        executed = folder / f"{phase.name}.ipynb"
        page = executed.name if folder == self.run.folder else f"../{folder.name}/{phase.name}.html"
        cells = cell_anchors.of_verbs(
            executed if executed.is_file() else phase.notebook, phase.verbs
        )
        return {"": page} | {verb: f"{page}#{name}" for verb, name in cells.items()}
