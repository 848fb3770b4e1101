"""The verdict of a run and of a phase, from the journal alone: never better than the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mantis_runbook.runs import load_figures
from mantis_runbook.runs.load_figures import Recorded

__all__ = ["GOOD", "UNDO", "VERBS", "Verdict", "Word", "declared", "phase_verdict", "run_verdict"]

Word = Literal["passed", "failed", "rolled back", "refused", "inconclusive"]

#: The way of a phase, in its order.
VERBS = ("precheck", "back_up", "prove", "rehearse", "approve", "migrate", "validate", "compare")

EXIT_CODES: dict[str, int] = {
    "passed": 0,
    "failed": 1,
    "rolled back": 1,
    "refused": 2,
    "inconclusive": 3,
}

#: Which verdict speaks for many: the first of these that occurs.
WORST_FIRST: tuple[Word, ...] = ("failed", "rolled back", "refused", "inconclusive", "passed")

#: Outcomes of a verb that let a phase pass.
GOOD = ("passed", "warned")

#: The verb that takes a migration back.
UNDO = "roll_back"


@dataclass(frozen=True)
class Verdict:
    """One word, and why."""

    word: Word
    reason: str = ""

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed or rolled back, 2 refused, 3 inconclusive."""
        return EXIT_CODES[self.word]

    @property
    def passed(self) -> bool:
        return self.word == "passed"

    def __str__(self) -> str:
        return f"{self.word}: {self.reason}" if self.reason else self.word


def run_verdict(
    entries: Sequence[Recorded], phases: Mapping[str, Iterable[str]] | Iterable[str] | None = None
) -> Verdict:
    """The verdict of a run over its phases (name → required verbs; by default what the journal
    itself declares).

    A phase given by name only requires what its `phase.started` declares as `verbs`, or else all
    verbs. A phase that the journal knows and `phases` does not is judged all the same.
    """
    required = _required(entries, phases)
    if not required:
        return Verdict("inconclusive", "no phase was started")
    verdicts = [(name, phase_verdict(entries, name, verbs)) for name, verbs in required.items()]
    word = next(
        word for word in WORST_FIRST if any(verdict.word == word for _, verdict in verdicts)
    )
    judged = _under_load(Verdict(word, _reason(word, verdicts)), entries)
    claim = _claim(_since_last(entries, "run.resumed", "run.finished"))
    undone = _outcomes(entries).get(UNDO) in GOOD
    return _settled(judged, claim, undone=undone)


def phase_verdict(
    entries: Sequence[Recorded], phase: str, required_verbs: Iterable[str] = VERBS
) -> Verdict:
    """The verdict of one phase: passed only when it was finished and each required verb ended
    passed or warned.
    """
    ours = [entry for entry in entries if entry.facts.get("phase") == phase]
    if not ours:
        return Verdict("inconclusive", "never started")
    outcomes = _outcomes(ours)
    claim = _claim(_since_last(ours, "phase.started", "phase.finished"))
    judged = (
        _of_undoing(outcomes)
        or _of_verbs(outcomes)
        or _of_steps(ours)
        or _of_gaps(outcomes, tuple(required_verbs), claim)
    )
    return _settled(judged, claim, undone=outcomes.get(UNDO, "passed") in GOOD)


def _under_load(judged: Verdict, entries: Sequence[Recorded]) -> Verdict:
    """A phase that passed while the load failed does not prove that the application works."""
    failed = load_figures.beyond(entries)
    return Verdict("inconclusive", failed) if judged.passed and failed else judged


def declared(entries: Sequence[Recorded]) -> dict[str, tuple[str, ...]]:
    """The phases that the journal itself names, each with the verbs it requires (see
    `run_verdict`).
    """
    return _required(entries, None)


def _required(
    entries: Sequence[Recorded], phases: Mapping[str, Iterable[str]] | Iterable[str] | None
) -> dict[str, tuple[str, ...]]:
    planned = [entry.facts.get("phases") for entry in entries if entry.event == "run.started"] + [
        phases
    ]
    required: dict[str, tuple[str, ...]] = {}
    for plan in planned:
        if isinstance(plan, Mapping):
            required |= {str(name): tuple(verbs) for name, verbs in plan.items()}
        elif plan is not None:
            required |= {str(name): required.get(str(name), VERBS) for name in plan}
    by_verbs = set(phases) if isinstance(phases, Mapping) else set()
    for entry in entries:
        name = entry.facts.get("phase")
        if name is None or name in by_verbs:
            continue
        verbs = entry.facts.get("verbs") if entry.event == "phase.started" else None
        required[name] = tuple(verbs) if verbs is not None else required.get(name, VERBS)
    return required


def _outcomes(entries: Sequence[Recorded]) -> dict[str, str]:
    """The last word on each verb, the latest last; `interrupted` when it was started and did not
    finish.
    """
    outcomes: dict[str, str] = {}
    for entry in entries:
        verb = entry.facts.get("verb")
        if verb and entry.event in ("verb.started", "verb.finished"):
            outcomes.pop(verb, None)
            ending = str(entry.facts.get("verdict", "of no verdict"))
            outcomes[verb] = ending if entry.event == "verb.finished" else "interrupted"
    return outcomes


def _of_undoing(outcomes: Mapping[str, str]) -> Verdict | None:
    """A migration that failed or was interrupted, and was taken back after that."""
    names = list(outcomes)
    if outcomes.get(UNDO) not in GOOD:
        return None
    before, after = names[: names.index(UNDO)], names[names.index(UNDO) + 1 :]
    broken = [verb for verb in before if outcomes[verb] not in GOOD]
    if not broken or any(outcomes[verb] not in GOOD for verb in after):
        return None
    ending = "was interrupted" if outcomes[broken[-1]] == "interrupted" else outcomes[broken[-1]]
    return Verdict("rolled back", f"{broken[-1]} {ending}")


def _of_verbs(outcomes: Mapping[str, str]) -> Verdict | None:
    begun = outcomes.get("migrate", "refused") != "refused"
    for verb, outcome in outcomes.items():
        if outcome == "failed":
            return Verdict("failed", f"{verb} failed")
        if outcome == "refused" and begun:
            return Verdict("failed", f"{verb} refused after the migration had begun")
    for outcome, word in (
        ("refused", "refused"),
        ("interrupted", "inconclusive"),
        ("inconclusive", "inconclusive"),
    ):
        for verb, ended in outcomes.items():
            if ended == outcome:
                return Verdict(_word(word), _sentence(verb, outcome))
    unknown = [
        f"{verb} ended {outcome}" for verb, outcome in outcomes.items() if outcome not in GOOD
    ]
    return Verdict("inconclusive", unknown[0]) if unknown else None


def _of_steps(entries: Sequence[Recorded]) -> Verdict | None:
    """Steps that contradict a migrate verb which says it went well."""
    states: dict[tuple[str, str], str] = {}
    for entry in _since_last(entries, "verb.started", "", verb="migrate"):
        key = (str(entry.facts.get("version", "")), str(entry.facts.get("step", "")))
        if entry.event == "step.started":
            states[key] = "interrupted"
        elif entry.event == "step.finished":
            states[key] = str(entry.facts.get("state", "of no state"))
    for (version, step), state in states.items():
        if state == "failed":
            return Verdict("failed", f"step {step} of {version} failed")
        if state not in ("done", "skipped"):
            return Verdict("inconclusive", f"step {step} of {version} was {state}")
    return None


def _of_gaps(
    outcomes: Mapping[str, str], required: tuple[str, ...], claim: Verdict | None
) -> Verdict:
    missing = [verb for verb in required if verb not in outcomes]
    if missing and claim is None:
        return Verdict("inconclusive", f"interrupted before {missing[0]}")
    if missing:
        return Verdict("inconclusive", f"{missing[0]} was not run")
    if claim is None:
        return Verdict(
            "inconclusive", f"interrupted after {list(outcomes)[-1]}" if outcomes else "interrupted"
        )
    warned = [verb for verb, outcome in outcomes.items() if outcome == "warned"]
    return Verdict("passed", f"with warnings in {', '.join(warned)}" if warned else "")


def _claim(finished: Sequence[Recorded]) -> Verdict | None:
    """What the last `….finished` entry among these says of itself."""
    last = next((entry for entry in reversed(finished) if entry.event.endswith("finished")), None)
    if last is None:
        return None
    word = str(last.facts.get("verdict", "of no verdict"))
    if word == "warned":
        word = "passed"
    reason = str(last.facts.get("reason") or "")
    return (
        Verdict(_word(word), reason)
        if word in get_args(Word)
        else Verdict("inconclusive", f"finished {word}")
    )


def _settled(judged: Verdict, claim: Verdict | None, *, undone: bool) -> Verdict:
    """What was claimed, unless the evidence is worse.

    A rollback answers a failure, so it may be claimed after one, as long as nothing says that it
    was not `undone`.
    """
    if claim is None:
        return judged
    if claim.word == "rolled back" and undone:
        return Verdict("rolled back", claim.reason or judged.reason)
    if WORST_FIRST.index(claim.word) < WORST_FIRST.index(judged.word):
        return Verdict(claim.word, claim.reason or judged.reason)
    same = claim.word == judged.word and claim.reason and claim.word != "passed"
    return Verdict(judged.word, claim.reason) if same else judged


def _since_last(
    entries: Sequence[Recorded], start: str, wanted: str, **facts: str
) -> list[Recorded]:
    """Entries after the last `start` (with these facts), only those of the event `wanted` if one is
    given.
    """
    begins = [
        position
        for position, entry in enumerate(entries)
        if entry.event == start
        and all(entry.facts.get(key) == value for key, value in facts.items())
    ]
    after = entries[begins[-1] + 1 :] if begins else ([] if facts else entries)
    return [entry for entry in after if not wanted or entry.event == wanted]


def _reason(word: Word, verdicts: Sequence[tuple[str, Verdict]]) -> str:
    if word != "passed":
        return next(
            f"phase {name}: {verdict.reason}" for name, verdict in verdicts if verdict.word == word
        )
    reasons = dict.fromkeys(verdict.reason for _, verdict in verdicts if verdict.reason)
    return "; ".join(
        f"{_named([name for name, verdict in verdicts if verdict.reason == reason])}: {reason}"
        for reason in reasons
    )


def _named(phases: Sequence[str]) -> str:
    """Phases that follow one another by their first and last: phase 3; phases 0 and 4; phases 0 to
    3.
    """
    if len(phases) == 1:
        return f"phase {phases[0]}"
    numbers = [int(name) for name in phases if name.isdecimal()]
    if len(numbers) == len(phases) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"phases {phases[0]} to {phases[-1]}"
    return f"phases {', '.join(phases[:-1])} and {phases[-1]}"


def _sentence(verb: str, outcome: str) -> str:
    return {
        "refused": f"{verb} refused",
        "interrupted": f"interrupted in {verb}",
        "inconclusive": f"{verb} is inconclusive",
    }[outcome]


def _word(text: str) -> Word:
    return next(word for word in WORST_FIRST if word == text)
