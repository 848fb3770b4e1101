"""What did not go as planned in a run, read from its journal and its phases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mantis_runbook.runs import alerts, load_figures, verdict
from mantis_runbook.runs.journal import TORN, Entry
from mantis_runbook.runs.phase_summary import NOT_RUN, Phase

__all__ = ["Deviation", "deviations"]

#: More of a load than this must be skipped to be worth a warning.
SKIPPED_SHARE = 0.01


@dataclass(frozen=True)
class Deviation:
    """What did not go as planned: `grade` a verdict word, `where` a phase's notebook or empty."""

    grade: str
    where: str
    what: str
    verb: str = ""


def deviations(
    entries: Sequence[Entry], phases: Sequence[Phase], *, closed: bool
) -> list[Deviation]:
    """Everything that deviated: under load, in each phase, and in the run as a whole. `closed`:
    the run ended.
    """
    every = [*_of_load(entries)]
    for phase in phases:
        every += [*_of_phase(phase), *_of_verbs(phase), *_of_steps(phase)]
    every += _of_events(entries, passed=all(phase.verdict.passed for phase in phases))
    if not closed:
        whole = [entry for entry in entries if entry.event != TORN]
        last = (
            f"its last entry is {whole[-1].event} at {whole[-1].at}"
            if whole
            else "its journal is empty"
        )
        every.append(
            Deviation("inconclusive", "", f"the run was interrupted, or is not finished: {last}")
        )
    return every


def _of_load(entries: Sequence[Entry]) -> Iterator[Deviation]:
    """What the application would have met.

    A busy machine skips some, which is a warning and no more.
    """
    done, beyond = load_figures.recorded(entries), load_figures.beyond(entries)
    if done.failed:
        yield Deviation(
            "inconclusive" if beyond else "warned", "", beyond or done.failures + done.named
        )
    if done.skipped_share > SKIPPED_SHARE:
        text = (
            f"{done.skipped:,} of {done.due:,} transactions of the load were due and could not be"
            " begun in time"
        )
        yield Deviation("warned", "", text)
    for name, reason in load_figures.left_out(entries).items():
        yield Deviation(
            "warned",
            "",
            f"{name} is not in the load, for it does not run on this database: {reason}",
        )


def _of_events(entries: Sequence[Entry], *, passed: bool) -> Iterator[Deviation]:
    """What happened to the run as a whole. Trouble that a later try made good is only a warning."""
    for text in alerts.undelivered(entries):
        yield Deviation("warned", "", text)
    for entry in entries:
        if entry.event == TORN:
            yield Deviation(
                "warned",
                "",
                f"at {entry.at} a line of the journal was found torn: its writer was killed",
            )
        elif entry.event == "run.resumed":
            by = f" by {entry.facts['operator']}" if entry.facts.get("operator") else ""
            yield Deviation("warned", "", f"the run was interrupted, and resumed at {entry.at}{by}")
        elif entry.event == "notebook.failed":
            notebook = Path(str(entry.facts.get("notebook", "")))
            text = f"{notebook.name} stopped: {entry.facts.get('error', '')}"
            yield Deviation("warned" if passed else "failed", notebook.stem, text)


def _of_phase(phase: Phase) -> list[Deviation]:
    """The phase's own reason, unless it is that of a verb, which says more."""
    bad = [verb.verb for verb in phase.verbs if verb.result not in (*verdict.GOOD, NOT_RUN)]
    if phase.verdict.passed or any(verb in phase.verdict.reason for verb in bad):
        return []
    reason = {
        "never started": "the phase was never started",
        "": f"the phase ended {phase.verdict.word}",
    }
    what = reason.get(phase.verdict.reason, phase.verdict.reason)
    return [Deviation(phase.verdict.word, phase.notebook, what)]


def _of_verbs(phase: Phase) -> list[Deviation]:
    deviating = []
    for verb in phase.verbs:
        if verb.result not in ("passed", NOT_RUN):
            text = f"{verb.verb} {verb.result}" + (f": {verb.summary}" if verb.summary else "")
            deviating.append(
                Deviation(grade=verb.result, where=phase.notebook, what=text, verb=verb.verb)
            )
        if verb.times > 1:
            deviating.append(
                Deviation(
                    grade="warned",
                    where=phase.notebook,
                    what=f"{verb.verb} was run {verb.times} times",
                    verb=verb.verb,
                )
            )
    return deviating


def _of_steps(phase: Phase) -> list[Deviation]:
    deviating = []
    for step in phase.steps:
        name = f"step “{step.step}” of {step.version}"
        if step.state not in ("done", "skipped"):
            note = f": {step.note}" if step.note else ""
            grade = "failed" if step.state == "failed" else "interrupted"
            deviating.append(
                Deviation(
                    grade=grade,
                    where=phase.notebook,
                    what=f"{name} {step.state}{note}",
                    verb=step.verb,
                )
            )
        if step.lock_waits:
            tries = "1 attempt" if step.attempts == 1 else f"{step.attempts} attempts"
            text = f"{name} took {tries} ({step.lock_waits} ended waiting for a lock)"
            deviating.append(
                Deviation(grade="warned", where=phase.notebook, what=text, verb=step.verb)
            )
    return deviating
