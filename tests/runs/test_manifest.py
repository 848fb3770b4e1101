"""The manifest finds every change: flipped, cut, removed, added, in the journal, in the run
before.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from mantis_runbook.errors import Inconclusive
from mantis_runbook.phases.report import build as report
from mantis_runbook.runs import manifest
from mantis_runbook.runs.journal import Journal
from mantis_runbook.runs.manifest import verify


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    for name in ("sql/migrations/001_core.sql", "notebooks/01_core.ipynb"):
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text("source")
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(home))
    return home


def make(reports: Path, name: str) -> Path:
    folder = reports / name
    (folder / "evidence").mkdir(parents=True)
    (folder / "evidence" / "1.plan.json").write_text('{"rows": 3}\n')
    journal = Journal(folder)
    journal.append("run.started", target="sandbox", phases={"1": ["precheck"]})
    journal.append("phase.started", phase="1")
    journal.append("run.finished", verdict="inconclusive")
    report.build(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> Path:
    return make(tmp_path / "reports", "20261122T120000Z-sandbox")


FILES = [
    "journal.jsonl",
    "evidence/1.plan.json",
    "index.html",
    "summary.json",
    "manifest.json",
    "manifest.sha256",
]


def test_an_untouched_run_has_no_problem(folder: Path) -> None:
    assert verify(folder) == ()
    assert verify(folder, manifest.head(folder)) == ()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.37, 0.999])
def test_one_flipped_bit_in_any_file_is_found(folder: Path, name: str, where: float) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    problems = verify(folder)
    assert problems
    assert any(problem.file in (name, "manifest.json") for problem in problems)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_by_one_byte_is_found(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    assert verify(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert any(problem.file == name and "is missing" in problem.what for problem in verify(folder))


@pytest.mark.parametrize("name", ["note.txt", ".hidden", "evidence/more.json", "deep/er/file"])
def test_an_additional_file_is_found(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("")
    assert [str(problem) for problem in verify(folder)] == [
        f"{name} is additional: it was not there when the run was archived"
    ]


def test_a_file_replaced_by_a_link_is_found(folder: Path, tmp_path: Path) -> None:
    path = folder / "evidence" / "1.plan.json"
    shutil.move(path, tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    assert [problem.file for problem in verify(folder)] == ["evidence/1.plan.json"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw[:-4], "was truncated: 8 bytes, expected 12"),
        (lambda raw: raw + b"\n", "has grown: 13 bytes, expected 12"),
        (lambda raw: raw.replace(b"3", b"4"), "was changed: same size, other content"),
    ],
)
def test_a_problem_says_what_happened(  # type: ignore[no-untyped-def]
    folder: Path, change, says: str
) -> None:
    path = folder / "evidence" / "1.plan.json"
    path.write_bytes(change(path.read_bytes()))
    assert [str(problem) for problem in verify(folder)] == [f"evidence/1.plan.json {says}"]


def test_a_journal_rewritten_and_sealed_anew_still_has_a_broken_chain(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"sandbox"', b'"prodbox"'))
    manifest.seal(folder)
    assert any(
        problem.file == "journal.jsonl" and "hash of the line before" in problem.what
        for problem in verify(folder)
    )


def test_a_run_changed_and_sealed_anew_is_found_by_the_head_kept_elsewhere(folder: Path) -> None:
    head = manifest.head(folder)
    (folder / "evidence" / "1.plan.json").write_text('{"rows": 4}\n')
    manifest.seal(folder)
    assert verify(folder) == ()
    assert any("was replaced" in problem.what for problem in verify(folder, head))


def test_the_run_before_is_part_of_the_chain(folder: Path) -> None:
    second = make(folder.parent, "20261122T130000Z-sandbox")
    assert json.loads((second / "manifest.json").read_text())["previous"] == {
        "run": folder.name, "sha256": manifest.head(folder),
    }  # fmt: skip
    (folder / "evidence" / "1.plan.json").write_text('{"rows": 4}\n')
    manifest.seal(folder)
    assert [str(problem) for problem in verify(second)] == [
        f"{folder.name}/manifest.json (the run before) was changed since this run was archived"
    ]
    shutil.rmtree(folder)
    assert [str(problem) for problem in verify(second)] == [
        f"{folder.name}/manifest.json (the run before) is missing"
    ]


def test_sql_and_notebook_sources_are_recorded_as_they_were(folder: Path, home: Path) -> None:
    def recorded() -> dict[str, dict[str, object]]:
        found = json.loads((folder / "manifest.json").read_text())["sources"]
        return {name: facts for name, facts in found.items() if not name.startswith("runbook/")}

    digest = hashlib.sha256(b"source").hexdigest()
    expected = {
        name: {"sha256": digest, "size": 6}
        for name in ("notebooks/01_core.ipynb", "sql/migrations/001_core.sql")
    }
    assert recorded() == expected
    (home / "sql/migrations/001_core.sql").write_text("changed since")
    report.build(folder)
    assert recorded() == expected
    Journal(folder).append("run.started", target="sandbox")
    report.build(folder)
    assert recorded() != expected


def test_the_runbooks_own_sources_are_recorded_beside_those_of_another_application(
    folder: Path,
) -> None:
    names = json.loads((folder / "manifest.json").read_text())["sources"].keys()
    assert {"runbook/sql/ledger/010_ledger.sql", "runbook/notebooks/00_preparation.ipynb"} <= names


def test_the_head_is_what_sha256sum_says(folder: Path) -> None:
    result = subprocess.run(
        ["sha256sum", "--check", "manifest.sha256"], cwd=folder, capture_output=True, text=True
    )
    assert result.stdout == "manifest.json: OK\n"
    assert (folder / "manifest.sha256").read_text().startswith(manifest.head(folder))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": {"a": 1}}', b"\xff"])
def test_a_manifest_that_is_none_is_a_problem_and_no_crash(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    assert any("is not a manifest" in problem.what for problem in verify(folder))


def test_a_run_without_manifest(tmp_path: Path) -> None:
    assert [problem.what for problem in verify(tmp_path)] == [
        "is missing: nothing says what belongs to this run"
    ]
    with pytest.raises(Inconclusive, match="has no manifest"):
        manifest.head(tmp_path)
