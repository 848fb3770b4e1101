"""What archives and backups hold becomes again what was kept, of older versions too; damage is
named.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from project import REPOSITORY

from mantis_runbook.backup.backup import Backup
from mantis_runbook.backup.likeness import Likeness, Setting
from mantis_runbook.backup.missing_rows import Deletions
from mantis_runbook.checks.described_statements import Described, Description
from mantis_runbook.errors import Inconclusive
from mantis_runbook.runs.evidence import Evidence, Table
from mantis_runbook.runs.journal import plain

KEPT: list[Any] = [
    Evidence(
        "1",
        "compare",
        "warned",
        "it went",
        (Table("steps", [{"step": "a", "ms": 1.5, "none": None}], "verdict"),),
        {"count": 3, "nested": {"list": [1, "2"]}},
        "look",
        "durations",
        0,
    ),
    Backup(
        Path("/b"), "mantis", "2026-11-28T12:00:00.000+00:00", {"a.backup": 12}, {"a.backup": "0f"}
    ),
    Described(
        (
            Description("SELECT 1", "app", 7, ("integer",), (("one", "integer"),)),
            Description("x", "app", 1, error="no"),
        ),
        {"SET ROLE refused": 2},
    ),
]


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: type(kept).__name__)
def test_what_was_kept_is_read_as_it_was(kept: Any) -> None:
    assert type(kept).from_dict(json.loads(json.dumps(plain(kept.as_dict())))) == kept


def test_the_deletions_and_the_likeness_of_a_backup_are_read_as_they_were() -> None:
    deletions = Deletions({"customer": 3}, None, 12, True)
    assert Deletions.from_dict(json.loads(json.dumps(vars(deletions)))) == deletions
    likeness = Likeness(
        settings=(Setting("", "work_mem", "4MB"),), rights=(("", "CONNECT", False),)
    )
    assert Likeness.from_json(likeness.to_json()) == likeness
    assert Likeness.from_json('{"settings": [], "rights": [["app", "CREATE", true]]}').rights == (
        ("app", "CREATE", True),
    )


@pytest.mark.parametrize(
    "path",
    sorted((REPOSITORY / "reports" / "example" / "evidence").glob("*.json")),
    ids=lambda path: path.stem,
)
def test_the_evidence_of_the_example_opens_and_loses_nothing(path: Path) -> None:
    kept = json.loads(path.read_text())
    read = plain(Evidence.from_dict(kept).as_dict())
    assert {name: read[name] for name in kept.keys() - {"tables"}} == {
        name: value for name, value in kept.items() if name != "tables"
    }
    assert [
        {name: table[name] for name in was}
        for table, was in zip(read["tables"], kept["tables"], strict=True)
    ] == kept["tables"]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ({"verdict": None}, "verdict: input should be a valid string"),
        ({"tables": [{"caption": "steps"}]}, "tables.0.records: field required"),
    ],
)
def test_damaged_evidence_is_named_and_no_programming_error(
    damage: dict[str, Any], found: str
) -> None:
    with pytest.raises(
        Inconclusive, match=f"what an earlier step kept as Evidence: found {found}, expected"
    ):
        Evidence.from_dict(KEPT[0].as_dict() | damage)


def test_what_a_later_version_kept_besides_is_no_reason_to_stop() -> None:
    assert Evidence.from_dict(KEPT[0].as_dict() | {"signature": "x"}) == KEPT[0]
