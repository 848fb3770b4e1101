"""The success criteria: what was not measured is not met, and what fails is said to fail."""

from __future__ import annotations

import pytest

from mantis_runbook.phases.final import criteria, performance_criterion
from mantis_runbook.phases.final.criteria import Trail, judge
from mantis_runbook.phases.final.criterion import MIGRATING, Criterion

VERBS = ("prove", "rehearse", "compare", "migrate")
WHOLE = Trail(("20261120T100000Z-TEST_DSN",), 16)
PERFORMANCE = "Performance degradation below 5 %"


def complete() -> dict[tuple[str, str], dict]:
    """Evidence of a run in which everything went as it must."""
    facts = {
        "longest_gap_ms": 40.0,
        "performance": "passed",
        "performance_timed": "passed",
        "performance_ratio": 1.01,
    }
    kept = {(phase, verb): evidence(facts) for phase in MIGRATING for verb in VERBS}
    return kept | {("5", verb): evidence({}) for verb in ("integrity", "validate", "compatibility")}


def evidence(facts: dict, verdict: str = "passed") -> dict:
    return {
        "phase": "1",
        "verdict": verdict,
        "summary": "as it must be",
        "facts": facts,
        "page": "01_core_enhancements.ipynb#cell-1",
        "run": "20261120T100000Z-TEST_DSN",
    }


def words(
    kept: dict, passed: tuple[str, ...] = ("0", *MIGRATING), trail: Trail | None = WHOLE
) -> dict[str, str]:
    return {
        row.criterion: row.verdict for row in judge(kept, dict.fromkeys(passed, "passed"), trail)
    }


def timed(**facts) -> dict[tuple[str, str], dict]:
    """A complete run whose rehearsals left these facts besides."""
    usual = {"performance": "passed", "performance_timed": "passed", "performance_ratio": 1.0}
    return complete() | {(phase, "rehearse"): evidence(usual | facts) for phase in MIGRATING}


def performance(kept: dict) -> Criterion:
    return next(row for row in judge(kept, {}) if row.criterion == PERFORMANCE)


def test_a_complete_run_meets_every_criterion_but_the_one_a_person_signs():
    assert set(words(complete()).values()) == {"pass", "to sign"}
    assert [name for name, word in words(complete()).items() if word == "to sign"] == [
        "User experience unchanged"
    ]


def test_every_criterion_of_the_strategy_has_a_row():
    assert len(judge({}, {})) == 10


def test_without_evidence_nothing_is_met():
    assert set(words({}, ()).values()) == {"inconclusive", "to sign"}


def test_tables_that_were_not_probed_are_named_beside_the_downtime():
    kept = complete() | {
        ("4", "migrate"): evidence({"longest_gap_ms": 40.0, "not_probed": ["ai_dataset"]})
    }
    (downtime,) = (row for row in judge(kept, {}) if "downtime" in row.criterion)
    assert downtime.verdict == "pass"
    assert downtime.evidence.endswith("ai_dataset in phase 4")


@pytest.mark.parametrize(
    ("phase", "verb", "broken", "criterion", "word"),
    [
        (
            "2",
            "rehearse",
            evidence({}, "failed"),
            "Rollback procedures tested and verified",
            "fail",
        ),
        ("3", "prove", evidence({}, "failed"), "Zero data loss during migration", "fail"),
        (
            "4",
            "migrate",
            evidence({"longest_gap_ms": 60_001.0}),
            "Less than 1 minute downtime per phase",
            "fail",
        ),
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


COST = {
    "what": "customer_crud:111 DELETE customer",
    "before": "120 blocks",
    "after": "170 blocks",
    "ratio": 1.417,
    "reason": "one table more to ask",
}


def test_a_cost_beyond_the_limit_that_the_gate_let_pass_is_for_a_person_to_sign_and_is_listed():
    kept = complete()
    kept["2", "rehearse"] = evidence(
        kept["1", "rehearse"]["facts"] | {"performance_beyond": [COST]}
    )
    row = performance(kept)
    assert row.verdict == "to sign"
    assert (
        "1 cost beyond 5 %, listed below, the largest: phase 2, customer_crud:111 DELETE customer"
        " +41.7 %" in row.evidence
    )
    [listed] = performance_criterion.costs(kept)
    assert (listed["phase"], listed["change"], listed["reason"]) == (
        "2",
        "+41.7 %",
        "one table more to ask",
    )
    assert listed["link"] == "01_core_enhancements.ipynb#cell-1"


def test_what_stays_below_the_limit_in_each_phase_and_not_in_all_of_them_is_no_plain_pass():
    """Four times 4.9 % is 21 %, and no single gate sees it."""
    row = performance(timed(performance_ratio=1.049))
    assert row.verdict == "to sign"
    assert "phase 1 to 4, time of all scenarios +21.1 %" in row.evidence
    assert (
        row.figure == "time +21.1 % from the baseline to the end (+4.9 %, +4.9 %, +4.9 %, +4.9 %)"
    )


def test_so_is_a_scenario_or_a_statement_that_costs_more_from_the_baseline_to_the_end():
    times = timed(performance_scenarios={"customer_crud": 1.04, "analytics_queries": 0.96})
    row = performance(times)
    assert row.verdict == "to sign"
    assert "worst scenario customer_crud +17.0 %" in row.figure
    counted = timed(
        performance_counts={
            "s:1 SELECT": {"blocks": [100, 104, 10]},
            "s:2 SELECT": {"blocks": [5, 6, 10]},
        }
    )
    assert performance(counted).verdict == "to sign"
    [cost] = performance_criterion.costs(counted)
    assert (cost["statement or scenario"], cost["change"]) == ("blocks of s:1 SELECT", "+17.0 %")


def test_what_costs_the_same_passes_and_has_no_sign():
    row = performance(timed(performance_ratio=0.9999))
    assert row.verdict == "pass"
    assert row.figure == "time 0.0 % from the baseline to the end (0.0 %, 0.0 %, 0.0 %, 0.0 %)"
    assert performance_criterion.costs(timed()) == []


def test_time_that_could_not_be_judged_is_said_not_to_be():
    assert (
        "time not judged in phase 1, 2, 3, 4 (inconclusive)"
        in performance(timed(performance_timed="inconclusive")).evidence
    )
    assert "not judged" not in performance(timed()).evidence
    assert "time is only reported" in performance(timed(performance_time_decides=False)).evidence


@pytest.mark.parametrize(
    "mark",
    [
        {"facts": {criteria.NOT_NEEDED: True}},
        {"facts": {}, "summary": "not needed: the phase is already applied"},
    ],
)
def test_that_nothing_was_needed_is_evidence_of_nothing(mark):
    kept = complete() | {("3", verb): evidence({}) | mark for verb in VERBS}
    found = words(kept)
    for criterion in (
        "Zero data loss during migration",
        "Rollback procedures tested and verified",
        PERFORMANCE,
    ):
        assert found[criterion] == "inconclusive"
    assert found["Less than 1 minute downtime per phase"] == "inconclusive"


def test_a_warning_about_rows_is_for_a_person_to_sign():
    warned = evidence({}, "warned") | {
        "summary": "2 rows of public.customer are gone",
        "page": "03.ipynb",
    }
    [row] = [
        row
        for row in judge(complete() | {("3", "compare"): warned}, {})
        if "data loss" in row.criterion
    ]
    assert (row.verdict, row.link) == ("to sign", "03.ipynb")
    assert "2 rows of public.customer are gone" in row.evidence


def test_each_row_that_rests_on_evidence_names_its_run():
    found = judge(complete(), dict.fromkeys(("0", *MIGRATING), "passed"), WHOLE)
    assert [row.criterion for row in found if not row.run] == ["User experience unchanged"]


@pytest.mark.parametrize(
    ("trail", "word", "said"),
    [
        (
            WHOLE,
            "pass",
            "1 earlier run is as archived; this run's journal is one chain; 16 audit triggers fire",
        ),
        (None, "inconclusive", "nothing was verified"),
        (
            Trail((), 16, broken=("run A: summary.json was changed",)),
            "fail",
            "run A: summary.json was changed",
        ),
        (Trail((), 16, open=("run A is not archived",)), "inconclusive", "run A is not archived"),
        (
            Trail((), 16, unsure=("no head of run A",)),
            "to sign",
            "to be signed by the auditor: no head of run A",
        ),
    ],
)
def test_audit_trails_are_complete_when_they_were_verified(trail, word, said):
    row = judge(complete(), dict.fromkeys(("0", *MIGRATING), "passed"), trail)[-1]
    assert row.verdict == word
    assert said in row.evidence
    assert row.figure == "5 phases before this one on record"


def test_performance_that_the_environment_does_not_ask_for_is_not_asked_and_never_passed():
    kept = complete() | {("1", "rehearse"): evidence({})}
    [row] = [
        row for row in judge(kept, {}, performance_asked=False) if "degradation" in row.criterion
    ]
    assert row.verdict == "not asked"
