"""The file journal: its chain, its durability against killed writers, and writers that take
turns.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from mantis_runbook.errors import Inconclusive
from mantis_runbook.runs import archive
from mantis_runbook.runs.journal import GENESIS, TORN, Entry, Journal, plain, verify_chain


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def three(journal: Journal) -> list[bytes]:
    journal.append("run.started", target="sandbox")
    journal.append("phase.started", phase="1")
    journal.append("verb.started", phase="1", verb="precheck")
    return journal.path.read_bytes().splitlines()


def test_each_line_carries_the_hash_of_the_line_before(journal: Journal) -> None:
    lines = three(journal)
    records = [json.loads(line) for line in lines]
    assert [record["seq"] for record in records] == [1, 2, 3]
    expected = [GENESIS, *(hashlib.sha256(line).hexdigest() for line in lines[:-1])]
    assert [record["previous"] for record in records] == expected
    assert list(records[1]) == ["seq", "at", "event", "phase", "previous"]
    assert verify_chain(journal.path) == []


def test_entries_come_back_as_they_were_written(journal: Journal) -> None:
    written = journal.append(
        "step.finished", step="Ünïcode\nand a line break", state="done", duration_ms=12.5
    )
    assert journal.entries() == [written]
    assert written.time.tzinfo is not None
    assert written.at.endswith("Z")
    assert len(written.at) == len("2026-11-22T13:05:01.123Z")


def test_a_journal_that_is_not_there_has_no_entries(journal: Journal) -> None:
    assert journal.entries() == []
    journal.mend()
    assert not journal.path.exists()
    assert verify_chain(journal.path) == ["journal.jsonl is missing"]


@pytest.mark.parametrize("name", ["seq", "at", "event", "previous"])
def test_the_journals_own_keys_cannot_be_facts(journal: Journal, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is set by the journal"):
        journal.append("x", **{name: 1})


@pytest.mark.parametrize("position", range(0, 300, 7))
def test_one_flipped_bit_anywhere_but_in_the_last_line_breaks_the_chain(
    journal: Journal, position: int
) -> None:
    lines = three(journal)
    content = bytearray(journal.path.read_bytes())
    content[position % (len(lines[0]) + len(lines[1]) + 1)] ^= 1
    journal.path.write_bytes(content)
    assert verify_chain(journal.path)


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda lines: [lines[0], lines[2]], "one is gone"),
        (lambda lines: [lines[1], lines[2]], "one is gone"),
        (lambda lines: [lines[0], lines[2], lines[1]], "one is gone"),
        (
            lambda lines: [lines[0], b'{"not": "an entry"}', lines[1], lines[2]],
            "does not record it as torn",
        ),
        (lambda lines: [*lines, lines[2][:20]], "the last line is torn"),
    ],
    ids=["deleted", "first deleted", "swapped", "inserted", "torn"],
)
def test_lines_removed_swapped_or_added_are_found(  # type: ignore[no-untyped-def]
    journal: Journal, break_it, says: str
) -> None:
    journal.path.write_bytes(b"\n".join(break_it(three(journal))) + b"\n")
    assert any(says in problem for problem in verify_chain(journal.path))


@pytest.mark.parametrize("kept", [1, 10, 60, 100])
def test_a_line_torn_by_a_kill_is_kept_and_the_chain_goes_on(journal: Journal, kept: int) -> None:
    lines = three(journal)
    torn = lines[2][:kept]
    journal.path.write_bytes(b"\n".join(lines[:2]) + b"\n" + torn)
    journal.append("verb.started", phase="1", verb="precheck")
    events = [entry.event for entry in journal.entries()]
    assert events == ["run.started", "phase.started", TORN, "verb.started"]
    assert journal.entries()[2].facts["text"] == torn.decode()
    assert verify_chain(journal.path) == []


def test_a_line_torn_inside_a_letter_and_torn_again_is_kept_too(journal: Journal) -> None:
    three(journal)
    with journal.path.open("ab") as file:
        file.write('{"seq": 4, "step": "ü'.encode()[:-1] + b'\n{"seq')
    journal.mend()
    assert journal.entries()[-1].facts["text"] == '{"seq": 4, "step": "\\xc3\n{"seq'
    assert verify_chain(journal.path) == []


def test_a_torn_line_changed_afterwards_is_found(journal: Journal) -> None:
    three(journal)
    with journal.path.open("ab") as file:
        file.write(b'{"seq": 4, "eve')
    journal.mend()
    journal.path.write_bytes(journal.path.read_bytes().replace(b'"eve\n', b'"odd\n'))
    assert any("another torn line" in problem for problem in verify_chain(journal.path))


def test_a_whole_line_that_lacks_only_its_line_break_is_no_torn_line(journal: Journal) -> None:
    lines = three(journal)
    journal.path.write_bytes(b"\n".join(lines))
    journal.append("next")
    assert [entry.event for entry in journal.entries()][-2:] == ["verb.started", "next"]
    assert verify_chain(journal.path) == []


def test_a_journal_that_was_killed_in_its_first_line_begins_anew(journal: Journal) -> None:
    journal.path.write_bytes(b'{"seq": 1, "at')
    journal.append("run.started")
    assert [entry.event for entry in journal.entries()] == [TORN, "run.started"]
    assert verify_chain(journal.path) == []


def test_entries_longer_than_what_is_read_first_are_found(journal: Journal) -> None:
    journal.append("long", text="x" * 200_000)
    journal.append("short")
    assert [entry.seq for entry in journal.entries()] == [1, 2]
    assert verify_chain(journal.path) == []


def test_processes_that_append_at_once_make_one_chain(journal: Journal) -> None:
    code = (
        "import sys; from pathlib import Path; from mantis_runbook.runs.journal import Journal\nfor"
        " number in range(25): Journal(Path(sys.argv[1])).append('x', who=sys.argv[2],"
        " number=number)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(journal.path.parent), who])
        for who in "abcd"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    entries = journal.entries()
    assert verify_chain(journal.path) == []
    assert len(entries) == 100
    assert all(
        [e.facts["number"] for e in entries if e.facts["who"] == who] == list(range(25))
        for who in "abcd"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("12.50"), "12.50"),
        (datetime(2026, 11, 22, 15, 5, tzinfo=UTC), "2026-11-22T15:05:00Z"),
        (date(2026, 11, 22), "2026-11-22"),
        (timedelta(milliseconds=1500), 1.5),
        (Path("a/b"), "a/b"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (float("nan"), None),
        (float("inf"), None),
        (np.int64(7), 7),
        (np.float64("nan"), None),
        (np.bool_(True), True),
        ({"a": (1, {2})}, {"a": [1, [2]]}),
        (Entry(1, "", "x"), {"seq": 1, "at": "", "event": "x", "facts": {}, "previous": GENESIS}),
    ],
)
def test_values_are_put_into_what_json_has(value: object, expected: object) -> None:
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value))) == expected


def test_a_value_that_json_cannot_hold_is_refused_before_anything_is_written(
    journal: Journal,
) -> None:
    with pytest.raises(TypeError, match="object cannot be written"):
        journal.append("x", thing=object())
    assert journal.entries() == []


# The run's folder


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MANTIS_RUNBOOK_REPORTS", str(tmp_path / "reports"))
    return tmp_path / "reports"


NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def test_a_runs_folder_is_named_after_instant_and_target(reports: Path) -> None:
    names = [archive.create("sandbox", NOON).name for _ in range(3)]
    assert names == [
        "20261122T120000Z-sandbox",
        "20261122T120000Z-sandbox~2",
        "20261122T120000Z-sandbox~3",
    ]
    assert [path.name for path in archive.all_runs()] == names
    assert archive.started_at(reports / names[2]) == NOON


def test_the_tenth_run_of_a_second_is_the_newest(reports: Path) -> None:
    for _ in range(11):
        newest = archive.create("sandbox", NOON)
    assert archive.all_runs()[-1] == newest


def test_latest_is_of_the_target_asked_for(reports: Path) -> None:
    first = archive.create("one", NOON)
    archive.create("one-more", NOON + timedelta(seconds=1))
    assert archive.latest("one") == first
    assert archive.latest("two") is None


def test_a_target_with_odd_letters_cannot_leave_the_folder(reports: Path) -> None:
    folder = archive.create("../../etc/passwd ü", NOON)
    assert folder.parent == reports.resolve()
    Journal(folder).append("run.started", target="../../etc/passwd ü")
    assert archive.latest("../../etc/passwd ü") == folder


def test_other_folders_are_no_runs(reports: Path) -> None:
    archive.create("sandbox", NOON)
    (reports / "notes").mkdir()
    (reports / "20261122T120000Z-file").write_text("")
    assert len(archive.all_runs()) == 1


def test_evidence_is_read_as_it_was_written(reports: Path) -> None:
    folder = archive.create("sandbox", NOON)
    assert archive.read_evidence(folder, "1", "plan") is None
    archive.write_evidence(folder, "1", "plan", {"rows": 3, "when": NOON})
    assert archive.read_evidence(folder, "1", "plan") == {"rows": 3, "when": "2026-11-22T12:00:00Z"}
    assert [path.name for path in (folder / "evidence").iterdir()] == ["1.plan.json"]


def test_evidence_that_is_not_whole_is_inconclusive(reports: Path) -> None:
    folder = archive.create("sandbox", NOON)
    path = archive.write_evidence(folder, "1", "plan", {"rows": 3})
    path.write_text(path.read_text()[:5])
    with pytest.raises(Inconclusive, match=r"evidence 1.plan.json"):
        archive.read_evidence(folder, "1", "plan")
