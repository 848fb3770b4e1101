"""The verdict of a run: what the journal says, and what it does not say, in a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from mantis_runbook.runs.verdict import VERBS, Verdict, phase_verdict, run_verdict


@dataclass(frozen=True)
class E:
    event: str
    facts: dict[str, Any] = field(default_factory=dict)


NEEDED = ("precheck", "migrate", "validate")


def started(phase: str = "1") -> list[E]:
    return [E("phase.started", {"phase": phase})]


def verb(name: str, verdict: str = "passed", phase: str = "1") -> list[E]:
    return [
        begun(name, phase),
        E("verb.finished", {"phase": phase, "verb": name, "verdict": verdict}),
    ]


def begun(name: str, phase: str = "1") -> E:
    return E("verb.started", {"phase": phase, "verb": name})


def step(name: str, state: str = "", phase: str = "1") -> list[E]:
    facts = {"phase": phase, "version": "001", "step": name}
    return [E("step.started", facts)] + (
        [E("step.finished", facts | {"state": state})] if state else []
    )


def ended(verdict: str = "passed", reason: str = "", phase: str = "1") -> list[E]:
    return [E("phase.finished", {"phase": phase, "verdict": verdict, "reason": reason})]


ALL = [*verb("precheck"), *verb("migrate"), *verb("validate")]

PHASES = {
    "all passed": ([*started(), *ALL, *ended()], "passed", ""),
    "a warning passes": (
        [*started(), *verb("precheck", "warned"), *ALL[2:], *ended()],
        "passed",
        "with warnings in precheck",
    ),
    "nothing at all": ([], "inconclusive", "never started"),
    "started only": (started(), "inconclusive", "interrupted before precheck"),
    "killed in a verb": (
        [*started(), *ALL[:2], begun("migrate")],
        "inconclusive",
        "interrupted in migrate",
    ),
    "killed between verbs": ([*started(), *ALL[:2]], "inconclusive", "interrupted before migrate"),
    "killed before the end": ([*started(), *ALL], "inconclusive", "interrupted after validate"),
    "a verb left out": ([*started(), *ALL[:4], *ended()], "inconclusive", "validate was not run"),
    "said passed, but a verb failed": (
        [*started(), *ALL[:4], *verb("validate", "failed"), *ended()],
        "failed",
        "validate failed",
    ),
    "said passed, but a verb never ended": (
        [*started(), *ALL, begun("validate"), *ended()],
        "inconclusive",
        "interrupted in validate",
    ),
    "said passed, but a verb says something unknown": (
        [*started(), *ALL[:4], *verb("validate", "fine"), *ended()],
        "inconclusive",
        "validate ended fine",
    ),
    "a verb without a verdict": (
        [
            *started(),
            *ALL,
            begun("compare"),
            E("verb.finished", {"phase": "1", "verb": "compare"}),
            *ended(),
        ],
        "inconclusive",
        "compare ended of no verdict",
    ),
    "said something unknown": (
        [*started(), *ALL, *ended("splendid")],
        "inconclusive",
        "finished splendid",
    ),
    "said nothing": (
        [*started(), *ALL, E("phase.finished", {"phase": "1"})],
        "inconclusive",
        "finished of no verdict",
    ),
    "said failed, though all verbs passed": (
        [*started(), *ALL, *ended("failed", "guard tripped")],
        "failed",
        "guard tripped",
    ),
    "refused": (
        [*started(), *verb("precheck", "refused"), *ended("refused")],
        "refused",
        "precheck refused",
    ),
    "refused, killed before the end": (
        [*started(), *verb("precheck", "refused")],
        "refused",
        "precheck refused",
    ),
    "refused after the migration had begun": (
        [*started(), *ALL[:4], *verb("validate", "refused"), *ended("refused")],
        "failed",
        "validate refused after the migration had begun",
    ),
    "inconclusive": (
        [*started(), *ALL[:4], *verb("validate", "inconclusive"), *ended("inconclusive")],
        "inconclusive",
        "validate is inconclusive",
    ),
    "failed and inconclusive": (
        [
            *started(),
            *verb("precheck", "inconclusive"),
            *verb("migrate", "failed"),
            *ended("failed"),
        ],
        "failed",
        "migrate failed",
    ),
    "rolled back": (
        [*started(), *ALL[:2], *verb("migrate", "failed"), *ended("rolled back", "gap of 2 s")],
        "rolled back",
        "gap of 2 s",
    ),
    "failed, then taken back": (
        [
            *started(),
            *ALL[:2],
            *verb("migrate", "failed"),
            *verb("roll_back"),
            *ended("rolled back"),
        ],
        "rolled back",
        "migrate failed",
    ),
    "interrupted, then taken back, and nothing said": (
        [*started(), *ALL[:2], begun("migrate"), *verb("roll_back")],
        "rolled back",
        "migrate was interrupted",
    ),
    "taken back, then tried again and failed": (
        [*started(), *ALL[:2], *verb("roll_back"), *verb("migrate", "failed")],
        "failed",
        "migrate failed",
    ),
    "taken back, then tried again and passed": (
        [*started(), *verb("migrate", "failed"), *verb("roll_back"), *ALL, *ended()],
        "passed",
        "",
    ),
    "failed, taken back, and said passed": (
        [*started(), *ALL[:2], *verb("migrate", "failed"), *verb("roll_back"), *ended("passed")],
        "rolled back",
        "migrate failed",
    ),
    "said rolled back, but the rollback failed": (
        [
            *started(),
            *ALL[:2],
            *verb("migrate", "failed"),
            *verb("roll_back", "failed"),
            *ended("rolled back"),
        ],
        "failed",
        "migrate failed",
    ),
    "failed, then run again and passed": (
        [
            *started(),
            *ALL[:2],
            *verb("migrate", "failed"),
            *ended("failed"),
            *started(),
            *ALL[2:],
            *ended(),
        ],
        "passed",
        "",
    ),
    "finished, then begun again": (
        [*started(), *ALL, *ended(), *started(), begun("precheck")],
        "inconclusive",
        "interrupted in precheck",
    ),
    "finished, then begun again, no verb yet": (
        [*started(), *ALL, *ended(), *started()],
        "inconclusive",
        "interrupted after validate",
    ),
    "all verbs passed, a step failed": (
        [*started(), *ALL[:2], begun("migrate"), *step("a", "failed"), ALL[3], *ALL[4:], *ended()],
        "failed",
        "step a of 001 failed",
    ),
    "all verbs passed, a step never ended": (
        [*started(), *ALL[:2], begun("migrate"), *step("a"), ALL[3], *ALL[4:], *ended()],
        "inconclusive",
        "step a of 001 was interrupted",
    ),
    "a step that failed and was done in the end": (
        [
            *started(),
            *ALL[:2],
            begun("migrate"),
            *step("a", "failed"),
            *step("a", "done"),
            ALL[3],
            *ALL[4:],
            *ended(),
        ],
        "passed",
        "",
    ),
    "steps of an earlier try are over": (
        [*started(), *ALL[:2], begun("migrate"), *step("a"), *started(), *ALL, *ended()],
        "passed",
        "",
    ),
    "a skipped step": (
        [*started(), *ALL[:2], begun("migrate"), *step("a", "skipped"), ALL[3], *ALL[4:], *ended()],
        "passed",
        "",
    ),
    "another phase's verbs do not count": (
        [*started(), *ALL[:2], *verb("migrate", phase="2"), *verb("validate", phase="2"), *ended()],
        "inconclusive",
        "migrate was not run",
    ),
}


@pytest.mark.parametrize(("entries", "word", "reason"), PHASES.values(), ids=PHASES)
def test_phase(entries: list[E], word: str, reason: str) -> None:
    assert phase_verdict(entries, "1", NEEDED) == Verdict(word, reason)  # type: ignore[arg-type]


def whole(phase: str, verdict: str = "passed") -> list[E]:
    verbs = [entry for name in NEEDED for entry in verb(name, phase=phase)]
    return [*started(phase), *verbs, *ended(verdict, "as said", phase=phase)]


def warned(phase: str, where: str = "precheck") -> list[E]:
    verbs = [
        entry
        for name in NEEDED
        for entry in verb(name, "warned" if name == where else "passed", phase=phase)
    ]
    return [*started(phase), *verbs, *ended(phase=phase)]


TWO = {"1": NEEDED, "2": NEEDED}
RUN = E("run.started", {"phases": TWO})


def closed(verdict: str, reason: str = "") -> list[E]:
    return [E("run.finished", {"verdict": verdict, "reason": reason})]


RUNS = {
    "both passed": ([RUN, *whole("1"), *whole("2")], "passed", ""),
    "both passed, and closed": ([RUN, *whole("1"), *whole("2"), *closed("passed")], "passed", ""),
    "one reason of several phases is said once": (
        [
            E("run.started", {"phases": dict.fromkeys("012345", NEEDED)}),
            *warned("0"),
            *warned("1"),
            *warned("2"),
            *whole("3"),
            *warned("4", "migrate"),
            *warned("5", "migrate"),
        ],
        "passed",
        "phases 0 to 2: with warnings in precheck; phases 4 and 5: with warnings in migrate",
    ),
    "phases that do not follow one another are named": (
        [
            E("run.started", {"phases": dict.fromkeys("0123", NEEDED)}),
            *warned("0"),
            *whole("1"),
            *warned("2"),
            *warned("3"),
        ],
        "passed",
        "phases 0, 2 and 3: with warnings in precheck",
    ),
    "nothing written": ([], "inconclusive", "no phase was started"),
    "planned and never started": ([RUN], "inconclusive", "phase 1: never started"),
    "second never started": ([RUN, *whole("1")], "inconclusive", "phase 2: never started"),
    "said passed, second never started": (
        [RUN, *whole("1"), *closed("passed")],
        "inconclusive",
        "phase 2: never started",
    ),
    "first failed": ([RUN, *whole("1", "failed")], "failed", "phase 1: as said"),
    "first refused": (
        [RUN, *started(), *verb("precheck", "refused"), *ended("refused")],
        "refused",
        "phase 1: precheck refused",
    ),
    "rolled back": (
        [RUN, *whole("1"), *whole("2", "rolled back")],
        "rolled back",
        "phase 2: as said",
    ),
    "one rolled back, one failed": (
        [RUN, *whole("1", "failed"), *whole("2", "rolled back")],
        "failed",
        "phase 1: as said",
    ),
    "passed, but closed as failed": (
        [RUN, *whole("1"), *whole("2"), *closed("failed", "archive not written")],
        "failed",
        "archive not written",
    ),
    "failed, said rolled back without a rollback": (
        [RUN, *whole("1", "failed"), *closed("rolled back")],
        "failed",
        "phase 1: as said",
    ),
    "failed, and rolled back": (
        [
            RUN,
            *whole("1", "failed"),
            *verb("roll_back", phase="90"),
            *ended(phase="90"),
            *closed("rolled back"),
        ],
        "rolled back",
        "phase 1: as said",
    ),
    "a phase that nobody planned failed": (
        [RUN, *whole("1"), *whole("2"), *verb("precheck", "failed", phase="3")],
        "failed",
        "phase 3: precheck failed",
    ),
    "phases by name need all verbs": (
        [E("run.started", {"phases": ["1"]}), *whole("1")],
        "inconclusive",
        "phase 1: back_up was not run",
    ),
    "a phase says which verbs it needs": (
        [
            E("run.started", {"phases": ["1"]}),
            E("phase.started", {"phase": "1", "verbs": list(NEEDED)}),
            *whole("1")[1:],
        ],
        "passed",
        "",
    ),
}


def under_load(
    failed: int, *, skipped: int = 0, share: float = 0.01, verdict: str = "passed"
) -> list[E]:
    """A run of which 100 transactions were due, and 'passed' was said."""
    limits = {"limits": {"load_failures_share": share}}
    done = {
        "processed": 100 - failed - skipped,
        "failed": failed,
        "skipped": skipped,
        "latency_ms": 1.0,
    }
    return [
        E("run.started", {"phases": TWO, **limits}),
        *whole("1"),
        E("load.progress", done | {"errors": ["no table"]}),
        *whole("2", verdict),
        *closed(verdict),
    ]


RUNS |= {
    "the load failed": (
        under_load(100),
        "inconclusive",
        "100 of 100 transactions of the load failed, more than 1 % (load_failures_share): no table",
    ),
    "the load failed a little": (under_load(1), "passed", ""),
    "the load failed where it may": (under_load(9, share=0.1), "passed", ""),
    "the load was skipped by a busy machine": (under_load(0, skipped=50), "passed", ""),
    "the load failed, and a phase, too": (
        under_load(100, verdict="failed"),
        "failed",
        "phase 2: as said",
    ),
    "the load failed before there was a limit": (
        [
            RUN,
            *whole("1"),
            *whole("2"),
            E("load.progress", {"processed": 0, "failed": 9, "skipped": 0, "latency_ms": 0.0}),
        ],
        "passed",
        "",
    ),
}


@pytest.mark.parametrize(("entries", "word", "reason"), RUNS.values(), ids=RUNS)
def test_run(entries: list[E], word: str, reason: str) -> None:
    assert run_verdict(entries) == Verdict(word, reason)  # type: ignore[arg-type]


def test_phases_given_say_what_is_needed() -> None:
    entries = [*whole("1")]
    assert run_verdict(entries, {"1": NEEDED}).passed
    assert str(run_verdict(entries, {"1": VERBS})) == "inconclusive: phase 1: back_up was not run"
    assert (
        str(run_verdict(entries, {"1": NEEDED, "2": NEEDED}))
        == "inconclusive: phase 2: never started"
    )
    assert str(run_verdict(entries, {})) == "inconclusive: phase 1: back_up was not run"


def test_without_phases_nothing_has_passed() -> None:
    assert run_verdict([E("run.started", {"phases": {}}), *closed("passed")]).word == "inconclusive"


def test_a_phase_that_needs_nothing_must_still_be_started_and_finished() -> None:
    assert not phase_verdict(started(), "1", ()).passed
    assert phase_verdict([*started(), *ended()], "1", ()).passed


@pytest.mark.parametrize("missing", range(len([*started(), *ALL, *ended()])))
def test_no_entry_can_be_left_out_of_what_passed(missing: int) -> None:
    entries = [*started(), *ALL, *ended()]
    del entries[missing]
    harmless = missing in (0, 1, 3, 5)  # the start of something whose end is there
    assert phase_verdict(entries, "1", NEEDED).passed == harmless


@pytest.mark.parametrize(
    ("word", "code"),
    [("passed", 0), ("failed", 1), ("rolled back", 1), ("refused", 2), ("inconclusive", 3)],
)
def test_exit_codes(word: str, code: int) -> None:
    assert Verdict(word).exit_code == code  # type: ignore[arg-type]
