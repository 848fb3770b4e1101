"""Evidence of earlier runs: the newest that is one, of this very database, and of what is there
now.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mantis_runbook import settings
from mantis_runbook.phases.definitions import present
from mantis_runbook.phases.final import criteria
from mantis_runbook.phases.final.criteria import Trail
from mantis_runbook.phases.final.criterion import MIGRATING
from mantis_runbook.phases.final.history import Earlier
from mantis_runbook.postgres.connection import Identity
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import archive
from mantis_runbook.runs.journal import Journal
from mantis_runbook.runs.run import Run

WHO = Identity(
    system_identifier="7", database="mantis", database_oid=16384, server_version=180000, role="ada"
)
FACTS = {
    "longest_gap_ms": 40.0,
    "performance": "passed",
    "performance_timed": "passed",
    "performance_ratio": 1.01,
}
NOTHING = {criteria.NOT_NEEDED: True}

FIRST, SECOND, THIRD = (f"2026112{day}T100000Z-TEST_DSN" for day in (0, 1, 2))


def archived(
    name: str,
    facts: dict[str, Any],
    phases: tuple[str, ...] = ("0", *MIGRATING),
    who: Identity = WHO,
) -> Path:
    """A run's folder made by hand, in which these phases passed and left these facts."""
    folder = settings.reports() / name
    folder.mkdir()
    journal = Journal(folder)
    journal.append("run.started", target="TEST_DSN", identity=who.as_dict())
    for phase in (one for one in present() if one.number in phases):
        journal.append("phase.started", phase=phase.number, verbs=list(phase.verbs))
        for verb in phase.verbs:
            found = {
                "phase": phase.number,
                "verb": verb,
                "verdict": "passed",
                "summary": f"in {name}",
                "facts": facts,
            }
            archive.write_evidence(folder, phase.number, verb, found)
            journal.append("verb.started", phase=phase.number, verb=verb)
            journal.append("verb.finished", phase=phase.number, verb=verb, verdict="passed")
        journal.append("phase.finished", phase=phase.number, verdict="passed")
    return folder


def seen_from(name: str, since: dict[str, str] | None = None, who: Identity = WHO) -> Earlier:
    """What a final validation in that run finds."""
    place = Target("TEST_DSN", "variable", {})
    return Earlier(
        Run(place, settings.environment("development"), "Ada", settings.reports() / name, who),
        since or {},
    )


def words(earlier: Earlier) -> dict[str, str]:
    found = criteria.judge(earlier.evidence, earlier.verdicts, Trail((), 1))
    return {row.criterion: row.verdict for row in found}


OF_MIGRATIONS = (
    "Zero data loss during migration",
    "Less than 1 minute downtime per phase",
    "Performance degradation below 5 %",
    "Rollback procedures tested and verified",
)


def test_a_second_run_that_had_nothing_to_do_finds_the_evidence_of_the_first(reports: Path) -> None:
    archived(FIRST, FACTS)
    archived(SECOND, NOTHING)
    archived(THIRD, NOTHING)
    earlier = seen_from(THIRD)
    assert {found["run"] for found in earlier.evidence.values()} == {FIRST}
    assert [words(earlier)[criterion] for criterion in OF_MIGRATIONS] == ["pass"] * 4
    assert earlier.verdicts == dict.fromkeys(("0", *MIGRATING), "passed")


def test_without_the_first_run_it_is_inconclusive(reports: Path) -> None:
    archived(SECOND, NOTHING)
    assert [words(seen_from(SECOND))[criterion] for criterion in OF_MIGRATIONS] == [
        "inconclusive"
    ] * 4


def test_what_is_newer_and_real_replaces_what_is_older(reports: Path) -> None:
    archived(FIRST, FACTS)
    archived(SECOND, FACTS, ("3",))
    kept = seen_from(SECOND).evidence
    assert kept["3", "migrate"]["run"] == SECOND
    assert kept["4", "migrate"]["run"] == FIRST


def test_what_was_found_before_a_rollback_says_nothing_about_the_migration_after_it(
    reports: Path,
) -> None:
    archived(FIRST, FACTS)
    archived(SECOND, NOTHING)
    earlier = seen_from(SECOND, {"2": SECOND})
    assert ("2", "migrate") not in earlier.evidence
    assert earlier.evidence["1", "migrate"]["run"] == FIRST


@pytest.mark.parametrize(
    "other", [{"system_identifier": "8"}, {"database_oid": 16385}, {"database": "other"}]
)
def test_evidence_of_another_database_is_none_of_this_one(
    reports: Path, other: dict[str, Any]
) -> None:
    archived(FIRST, FACTS, who=Identity(**WHO.as_dict() | other))
    archived(SECOND, NOTHING)
    assert seen_from(SECOND).evidence == {}


def test_the_schedule_tells_of_the_run_that_migrated(reports: Path) -> None:
    first = archived(FIRST, FACTS)
    time.sleep(0.002)  # the journal counts in milliseconds
    archived(SECOND, NOTHING)
    found = seen_from(SECOND).instants("phase.started")
    assert found["0"] == Journal(first).entries()[1].time


def test_evidence_is_linked_to_the_cell_that_shows_it(reports: Path) -> None:
    """In the archive of another run by its page, in this run by the notebook, whose cells keep
    their ids.
    """
    first = archived(FIRST, FACTS)
    archived(SECOND, FACTS, ("4",))
    cells = [
        {"cell_type": "markdown", "id": "aa", "source": "migrate()"},
        {"cell_type": "code", "id": "bb", "source": ["core.migrate()"]},
    ]
    (first / "01_core_enhancements.ipynb").write_text(json.dumps({"cells": cells}))
    (first / "02_crm_sales.ipynb").write_text("torn")
    kept = seen_from(SECOND).evidence
    assert kept["1", "migrate"]["page"] == f"../{FIRST}/01_core_enhancements.html#cell-bb"
    assert kept["1", "prove"]["page"] == f"../{FIRST}/01_core_enhancements.html"
    assert kept["2", "prove"]["page"] == f"../{FIRST}/02_crm_sales.html"
    assert kept["4", "prove"]["page"].startswith("04_advanced_features.ipynb#cell-")
