"""The success criteria: what was not measured is not met, and what fails is said to fail."""

from __future__ import annotations

import pytest

from mantis_runbook import criteria
from mantis_runbook.criteria import MIGRATING, judge

VERBS = ("prove", "rehearse", "compare", "migrate")


def complete() -> dict[tuple[str, str], dict]:
    """Evidence of a run in which everything went as it must."""
    facts = {"longest_gap_ms": 40.0, "performance": "passed", "performance_ratio": 1.01}
    kept = {(phase, verb): evidence(facts) for phase in MIGRATING for verb in VERBS}
    return kept | {("5", verb): evidence({}) for verb in ("integrity", "validate", "compatibility")}


def evidence(facts: dict, verdict: str = "passed") -> dict:
    return {"verdict": verdict, "summary": "as it must be", "facts": facts, "page": "01_core_enhancements.ipynb"}


def words(kept: dict, passed: tuple[str, ...] = ("0", *MIGRATING)) -> dict[str, str]:
    return {row.criterion: row.verdict for row in judge(kept, dict.fromkeys(passed, "passed"))}


def test_a_complete_run_meets_every_criterion_but_the_one_a_person_signs():
    assert set(words(complete()).values()) == {"pass", "to sign"}
    assert [name for name, word in words(complete()).items() if word == "to sign"] == ["User experience unchanged"]


def test_every_criterion_of_the_strategy_has_a_row():
    assert len(judge({}, {})) == 10


def test_without_evidence_nothing_is_met():
    assert set(words({}, ()).values()) == {"inconclusive", "to sign"}


@pytest.mark.parametrize(
    ("phase", "verb", "broken", "criterion", "word"),
    [
        ("2", "rehearse", evidence({}, "failed"), "Rollback procedures tested and verified", "fail"),
        ("3", "prove", evidence({}, "failed"), "Zero data loss during migration", "fail"),
        ("4", "migrate", evidence({"longest_gap_ms": 60_001.0}), "Less than 1 minute downtime per phase", "fail"),
        ("4", "migrate", evidence({}), "Less than 1 minute downtime per phase", "inconclusive"),
        (
            "1",
            "rehearse",
            evidence({"performance": "failed", "performance_ratio": 1.06}),
            "Performance degradation below 5 %",
            "fail",
        ),
        ("1", "rehearse", evidence({}), "Performance degradation below 5 %", "inconclusive"),
        ("5", "validate", evidence({}, "failed"), "All validation tests pass", "fail"),
        ("5", "compatibility", evidence({}, "failed"), "API compatibility maintained", "fail"),
    ],
)
def test_one_broken_piece_of_evidence_breaks_its_criterion(phase, verb, broken, criterion, word):
    assert words(complete() | {(phase, verb): broken})[criterion] == word


def test_a_phase_without_a_passed_run_leaves_the_audit_trail_incomplete():
    assert words(complete(), ("0", "1", "2"))["Audit trails complete"] == "inconclusive"


def test_every_risk_of_the_strategy_names_its_gates():
    assert [risk["risk"] for risk in criteria.RISKS] == ["high", "medium", "low"]
    assert all(risk["gates"] for risk in criteria.RISKS)


def test_a_cost_beyond_the_limit_that_the_gate_let_pass_is_for_a_person_to_sign_and_is_named():
    cost = "customer_crud DELETE customer: 120 blocks before, 170 after (accepted: one table more to ask)"
    facts = {"performance": "passed", "performance_ratio": 1.01, "performance_beyond": [cost]}
    [row] = [
        row for row in judge(complete() | {("2", "rehearse"): evidence(facts)}, {}) if "degradation" in row.criterion
    ]
    assert row.verdict == "to sign"
    assert f"phase 2: {cost}" in row.evidence


def test_performance_that_the_environment_does_not_ask_for_is_said_not_to_be_asked_and_never_passed():
    kept = complete() | {("1", "rehearse"): evidence({})}
    [row] = [row for row in judge(kept, {}, performance_asked=False) if "degradation" in row.criterion]
    assert row.verdict == "not asked"
