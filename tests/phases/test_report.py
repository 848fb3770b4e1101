"""The report of a run: truthful about what never ran, readable without a network, safe against what
a database holds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from zipfile import ZipFile

import nbformat
import papermill
import pytest
from jinja2 import UndefinedError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from project import REPOSITORY

from mantis_runbook.display import Html
from mantis_runbook.phases.report import build as report
from mantis_runbook.phases.report import notebook_page
from mantis_runbook.phases.report.offline_html import seal
from mantis_runbook.phases.report.pages import render
from mantis_runbook.phases.report.pictures import CHARTS
from mantis_runbook.runs import manifest, summary
from mantis_runbook.runs.journal import Journal

TEMPLATES = REPOSITORY / "mantis_runbook" / "templates"

VERBS = ("precheck", "migrate", "validate")
NASTY = "<script>alert('customer')</script>"

SETUP = f"""
from mantis_runbook.display import table
class Phase:
    def precheck(self):
        return table([{{"name": "{NASTY}", "verdict": "warn"}}], verdict_column="verdict")
    def migrate(self): print("{NASTY}")
    def validate(self): raise ValueError("{NASTY}")
phase = Phase()
"""

BROKEN = {
    "whole": "",
    "failing": 'raise ValueError("constraint violated: <script>alert(1)</script>")',
    "killed": "import os, signal; print('half', flush=True); os.kill(os.getpid(), signal.SIGKILL)",
    "timeout": "import time; time.sleep(60)",
}


def notebook(trouble: str = "") -> nbformat.NotebookNode:
    cells = [
        new_markdown_cell(
            "# Core enhancements\n\nSee [preparation](00_preparation.ipynb),"
            " [rollback](90_rollback.ipynb), [manual](https://www.postgresql.org/docs/).\n\n"
            "![tracker](http://tracker.example/pixel.png)"
        ),
        new_code_cell("environment: str = 'production'", metadata={"tags": ["parameters"]}),
        new_code_cell(SETUP + "phase.precheck()"),
        new_code_cell(f"{trouble}\nphase.migrate()"),
        new_code_cell("print('validated')  # phase.validate()"),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"c{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The notebook as papermill leaves it: whole, with a failing cell, a killed kernel, and a
    timeout.
    """
    folder = tmp_path_factory.mktemp("executed")
    found = {}
    for name, trouble in BROKEN.items():
        source, found[name] = folder / f"{name}.source.ipynb", folder / f"{name}.ipynb"
        nbformat.write(notebook(trouble), source)
        try:
            papermill.execute_notebook(
                source,
                found[name],
                progress_bar=False,
                store_widget_state=False,
                execution_timeout=3 if name == "timeout" else None,
                parameters={"environment": "staging"},
            )
        except Exception:
            if name == "whole":
                raise
    return found


@pytest.fixture
def run(
    tmp_path: Path, executed: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """A run's folder: one phase, its notebook as chosen, its journal up to an entry."""
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(tmp_path / "home"))

    def make(
        kind: str = "whole", *, outcome: str = "passed", until: str = "", name: str = ""
    ) -> Path:
        folder = tmp_path / "reports" / (name or "20261122T120000Z-sandbox")
        folder.mkdir(parents=True)
        if kind:
            shutil.copy(executed[kind], folder / "01_core_enhancements.ipynb")
        write_journal(folder, outcome, until)
        return folder

    return make


def write_journal(folder: Path, outcome: str, until: str) -> None:
    phase = {"phase": "01_core_enhancements"}
    events = [
        (
            "run.started",
            {
                "target": "sandbox",
                "environment": "staging",
                "operator": f"dba {NASTY}",
                "phases": {phase["phase"]: VERBS},
                "versions": {"python": "3.11.9", "postgres": "18.1"},
                "commit": "4f0c1d2e",
                "identity": {"database": "mantisnxt", "server_version": 180001, "role": "postgres"},
            },
        ),
        (
            "phase.started",
            phase | {"notebook": "01_core_enhancements.ipynb", "parameters": {"scale": 0.5}},
        ),
        ("verb.started", phase | {"verb": "precheck"}),
        (
            "verb.finished",
            phase | {"verb": "precheck", "verdict": "warned", "duration_ms": 340, "summary": NASTY},
        ),
        ("verb.started", phase | {"verb": "migrate"}),
        ("step.started", phase | {"version": "001", "step": "enums"}),
        (
            "step.finished",
            phase
            | {
                "version": "001",
                "step": "enums",
                "state": "done",
                "duration_ms": 52,
                "attempts": 3,
                "lock_waits": 2,
                "lsn": "0/3A0F2C8",
            },
        ),
        (
            "verb.finished",
            phase
            | {"verb": "migrate", "verdict": outcome, "duration_ms": 63_400, "approver": "m.ilves"},
        ),
        ("verb.started", phase | {"verb": "validate"}),
        ("verb.finished", phase | {"verb": "validate", "verdict": "passed", "duration_ms": 2_200}),
        ("phase.finished", phase | {"verdict": outcome}),
        ("run.finished", {"verdict": outcome}),
    ]
    for number, (event, facts) in enumerate(events):
        if until == f"{event} {facts.get('verb', '')}".strip() or (until and number == len(events)):
            return
        Journal(folder).append(event, **facts)


class Page(HTMLParser):
    """What a browser would see: text, tags, and whatever it would have to load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            value = value or ""
            if name == "id":
                self.ids.append(value)
            if tag == "a" and name == "href":
                self.links.append(value)
            elif name in (
                "src",
                "href",
                "srcset",
                "data",
                "poster",
                "action",
                "xlink:href",
                "background",
            ):
                self.loads.append(value)
            if name.startswith("on") or "javascript:" in value:
                self.loads.append(f"{name}={value}")
            self.loads += re.findall(r"url\(([^)]*)\)|@import", value) if name == "style" else []

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.tags and self.tags[-1] == "style":
            self.loads += re.findall(r"url\([^)]*\)|@import|https?://[^\s]*", data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def pages(folder: Path) -> dict[str, Page]:
    return {path.name: Page(path.read_text()) for path in folder.glob("*.html")}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_report_opens_without_a_network(run: Callable[..., Path], kind: str) -> None:
    folder = run(kind)
    report.build(folder)
    report.index(folder.parent)
    for name, page in {**pages(folder), **pages(folder.parent)}.items():
        assert [load for load in page.loads if not load.startswith("data:image/")] == [], name
        assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(
            page.tags
        ), name
        assert all(not link.startswith(("//", "javascript:")) for link in page.links), name


@pytest.mark.parametrize("kind", BROKEN)
def test_what_a_database_holds_is_shown_and_not_run(run: Callable[..., Path], kind: str) -> None:
    folder = run(kind)
    report.build(folder)
    for name, page in pages(folder).items():
        assert "script" not in page.tags
        assert "alert(" in page.text, name
    assert NASTY in pages(folder)["index.html"].text


#: Text that would leave a value of an attribute, then run.
BREAKOUT = """"'><script>alert('customer')</script><img src=x onerror=alert(1)>"""


def test_no_fact_of_a_journal_can_become_markup(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "20261122T120000Z-sandbox"
    folder.mkdir(parents=True)
    phase, step = {"phase": BREAKOUT}, {"version": BREAKOUT, "step": BREAKOUT}
    journal = Journal(folder)
    journal.append(
        "run.started",
        target=BREAKOUT,
        environment=BREAKOUT,
        operator=BREAKOUT,
        phases={BREAKOUT: [BREAKOUT]},
        versions={BREAKOUT: BREAKOUT},
        commit=BREAKOUT,
        identity={"database": BREAKOUT, BREAKOUT: BREAKOUT},
        machine=BREAKOUT,
        limits={BREAKOUT: [BREAKOUT]},
    )
    journal.append(
        "phase.started", **phase, notebook=BREAKOUT, parameters={BREAKOUT: {BREAKOUT: BREAKOUT}}
    )
    journal.append("verb.started", **phase, verb=BREAKOUT)
    journal.append("step.started", **phase, **step)
    journal.append(
        "step.finished",
        **phase,
        **step,
        state=BREAKOUT,
        lsn=BREAKOUT,
        statement_sha256=BREAKOUT,
        note=BREAKOUT,
    )
    journal.append(
        "verb.finished",
        **phase,
        verb=BREAKOUT,
        verdict="failed",
        summary=BREAKOUT,
        evidence=BREAKOUT,
    )
    journal.append("notebook.failed", notebook=BREAKOUT, error=BREAKOUT)
    journal.append("phase.finished", **phase, verdict="failed", reason=BREAKOUT)
    journal.append("run.finished", verdict="failed", reason=BREAKOUT)
    report.build(folder)
    report.index(folder.parent)
    for page in (*pages(folder).values(), *pages(folder.parent).values()):
        assert page.loads == []
        assert not {"script", "img"} & set(page.tags)
        assert "<script>alert('customer')</script>" in page.text


def test_a_page_without_one_of_its_values_is_an_error_and_not_a_gap() -> None:
    with pytest.raises(UndefinedError, match="'runs' is undefined"):
        render("runs", title="Migration runs")


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.glob("*.j2")))
def test_no_template_switches_the_escaping_off(name: str) -> None:
    text = (TEMPLATES / name).read_text()
    assert "autoescape" not in text
    assert not re.search(r"\|\s*safe|Markup", text)


def test_an_installed_package_has_its_templates(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(
        REPOSITORY / "mantis_runbook",
        source / "mantis_runbook",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run(
        [*command, "--wheel-dir", tmp_path, source], check=True, capture_output=True, timeout=120
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = {Path(name).name for name in ZipFile(wheel).namelist() if "/templates/" in name}
    assert packed == {path.name for path in TEMPLATES.iterdir()}


def test_every_link_within_the_archive_leads_somewhere(run: Callable[..., Path]) -> None:
    folder = run("failing", outcome="failed")
    (folder / "evidence").mkdir()
    (folder / "evidence" / "1.plan.json").write_text("{}")
    report.build(folder)
    report.index(folder.parent)
    found = pages(folder)
    for name, page in found.items():
        for link in page.links:
            if link.startswith("https://"):
                continue
            path, _, anchor = link.partition("#")
            assert not path or (folder / path).exists(), f"{name}: {link}"
            assert not anchor or anchor in found[path or name].ids, f"{name}: {link}"


def test_links_among_notebooks_lead_to_pages_and_dead_ones_are_no_links(
    run: Callable[..., Path],
) -> None:
    folder = run()
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("# Preparation")]), folder / "00_preparation.ipynb"
    )
    report.build(folder)
    links = pages(folder)["01_core_enhancements.html"].links
    assert "00_preparation.html" in links
    assert "https://www.postgresql.org/docs/" in links
    assert not any("90_rollback" in link for link in links)
    assert (
        "rollback ( notebooks/90_rollback.ipynb )"
        in pages(folder)["01_core_enhancements.html"].text
    )


def test_evidence_of_another_run_is_linked_where_its_page_lies_in_the_archive(
    run: Callable[..., Path],
) -> None:
    folder = run()
    other = folder.parent / "20261101T120000Z-sandbox"
    other.mkdir()
    (other / "03_financial_management.html").write_text("")
    targets = [
        f"../{other.name}/{name}.html"
        for name in ("03_financial_management", "gone", "../../secret")
    ]
    source = " ".join(f"[evidence]({target})" for target in targets)
    nbformat.write(new_notebook(cells=[new_markdown_cell(source)]), folder / "00_preparation.ipynb")
    report.build(folder)
    links = pages(folder)["00_preparation.html"].links
    assert [link for link in links if link in targets] == targets[:1]


def states(folder: Path, *, interrupted: bool) -> list[str]:
    found = notebook_page.cells(folder / "01_core_enhancements.ipynb", interrupted=interrupted)
    return [cell.state for cell in found if cell.state != "text"]


@pytest.mark.parametrize(
    ("kind", "interrupted", "expected"),
    [
        ("whole", False, ["ran", "ran", "ran", "ran", "ran"]),
        ("failing", False, ["ran", "ran", "ran", "failed", "not run"]),
        ("killed", True, ["ran", "ran", "ran", "interrupted", "not run"]),
        ("timeout", True, ["ran", "ran", "ran", "failed", "not run"]),
        ("whole", True, ["ran", "ran", "ran", "ran", "interrupted"]),
    ],
)
def test_cells_say_what_became_of_them(
    run: Callable[..., Path], kind: str, interrupted: bool, expected: list[str]
) -> None:
    assert states(run(kind), interrupted=interrupted) == expected


def test_papermill_says_completed_of_a_cell_that_never_ran_and_we_do_not(
    run: Callable[..., Path],
) -> None:
    folder = run("killed", until="verb.finished migrate")
    path = folder / "01_core_enhancements.ipynb"
    assert nbformat.read(path, 4).cells[-1].metadata.papermill.status == "completed"
    report.build(folder)
    assert "not run" in pages(folder)["01_core_enhancements.html"].text


def test_a_cell_whose_output_was_not_saved_but_that_the_journal_knows(
    run: Callable[..., Path],
) -> None:
    folder = run("killed")
    found = notebook_page.cells(folder / "01_core_enhancements.ipynb", verbs=["validate"])
    assert found[-1].state == "not stored"


def test_a_killed_run_is_told_as_interrupted(run: Callable[..., Path]) -> None:
    folder = run("killed", until="verb.finished migrate")
    with Journal(folder).path.open("ab") as file:
        file.write(b'{"seq": 9, "at": "20')
    report.build(folder)
    overview = pages(folder)["index.html"]
    assert "inconclusive Phase 01_core_enhancements: interrupted in migrate" in overview.text
    assert "a line of the journal was found torn" in overview.text
    assert (
        "the run was interrupted, or is not finished: its last entry is step.finished"
        in overview.text
    )
    assert "01_core_enhancements.html#cell-c3" in overview.links
    told = json.loads((folder / "summary.json").read_text())
    assert (told["verdict"], told["exit_code"], told["closed"]) == ("inconclusive", 3, False)
    assert [verb["result"] for verb in told["phases"][0]["verbs"]] == [
        "warned",
        "interrupted",
        "not run",
    ]


def test_a_failure_stands_first_and_links_the_failing_cell(run: Callable[..., Path]) -> None:
    folder = run("failing", outcome="failed")
    report.build(folder)
    overview = pages(folder)["index.html"]
    first = overview.text.index("Look here first")
    assert (
        first
        < overview.text.index("ValueError: constraint violated: <script>")
        < overview.text.index("Operator")
    )
    assert "01_core_enhancements.html#cell-c3" in overview.links
    assert "cell-c3" in pages(folder)["01_core_enhancements.html"].ids


def test_what_deviated_stands_before_the_steps(run: Callable[..., Path]) -> None:
    folder = run()
    report.build(folder)
    text = pages(folder)["index.html"].text
    assert text.index("Operator") < text.index("What deviated") < text.index("Phases and steps")


def test_a_verdict_is_not_better_because_the_notebook_looks_well(run: Callable[..., Path]) -> None:
    folder = run("whole", until="verb.finished validate")
    report.build(folder)
    assert json.loads((folder / "summary.json").read_text())["verdict"] == "inconclusive"


def test_the_first_page_has_the_facts(run: Callable[..., Path]) -> None:
    folder = run()
    report.build(folder)
    text = pages(folder)["index.html"].text
    for fact in (
        "sandbox",
        "staging",
        "mantisnxt",
        "18.1",
        "m.ilves",
        "4f0c1d2e",
        "scale 0.5",
        "UTC",
        "340 ms",
        "1 min 03 s",
        "0/3A0F2C8",
        "took 3 attempts (2 ended waiting for a lock)",
        "precheck warned",
    ):
        assert fact in text, fact


@pytest.mark.parametrize(
    ("attempts", "lock_waits", "said"),
    [
        (13, 0, []),  # the batches of a backfill, as journals had them until 2026-11-23
        (1, 1, ["step “fill” of 003 took 1 attempt (1 ended waiting for a lock)"]),
        (4, 3, ["step “fill” of 003 took 4 attempts (3 ended waiting for a lock)"]),
    ],
)
def test_a_step_deviates_only_where_it_gave_way(
    tmp_path: Path, attempts: int, lock_waits: int, said: list[str]
) -> None:
    journal = Journal(tmp_path)
    facts = {"phase": "3", "version": "003", "step": "fill"}
    journal.append("step.started", **facts)
    journal.append("step.finished", **facts, state="done", attempts=attempts, lock_waits=lock_waits)
    told = summary.read(tmp_path).deviations
    assert [one.what for one in told if one.what.startswith("step")] == said


@pytest.mark.parametrize("kind", ["", "whole"])
def test_a_run_without_any_phase(tmp_path: Path, run: Callable[..., Path], kind: str) -> None:
    folder = run(kind, until="run.started")
    report.build(folder)
    assert "No phase was started" in pages(folder)["index.html"].text
    assert manifest.verify(folder) == ()


def test_a_missing_notebook_is_said(run: Callable[..., Path]) -> None:
    folder = run("")
    report.build(folder)
    assert "its notebook is not in the archive" in pages(folder)["index.html"].text


@pytest.mark.parametrize("content", [b"", b'{"cells": [', b"\xff\xfe", b"[]", b'{"cells": 3}'])
def test_a_notebook_that_cannot_be_read_stops_nothing(
    run: Callable[..., Path], content: bytes
) -> None:
    folder = run("")
    (folder / "01_core_enhancements.ipynb").write_bytes(content)
    report.build(folder)
    assert "expected an executed notebook" in pages(folder)["index.html"].text
    assert "expected an executed notebook" in pages(folder)["01_core_enhancements.html"].text


def test_building_again_changes_nothing(run: Callable[..., Path]) -> None:
    folder = run()
    report.build(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "manifest.sha256").unlink()
    report.build(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_is_sealed_is_left_alone_by_a_later_version(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run()
    head = manifest.head(report.build(folder).parent)
    monkeypatch.setattr(report, "overview", lambda *_: "another look")
    report.build(folder)
    assert manifest.head(folder) == head
    Journal(folder).append("run.resumed")
    assert report.build(folder).read_text() == "another look"


def test_a_phase_that_was_never_started_takes_one_line(run: Callable[..., Path]) -> None:
    folder = run(until="run.started")
    Journal(folder).append(
        "run.started", target="sandbox", phases={"1": list(VERBS), "2": list(VERBS)}
    )
    text = Page(report.build(folder).read_text()).text
    assert "phase 2" in text
    assert "not run" not in text


def test_all_runs_are_listed_newest_first_the_abandoned_ones_too(run: Callable[..., Path]) -> None:
    folder = run(name="20261122T120000Z-sandbox")
    report.build(folder)
    run("killed", until="verb.finished migrate", name="20261122T130000Z-sandbox")
    (folder.parent / "20261122T140000Z-production").mkdir()
    text = Page(report.index(folder.parent).read_text()).text
    order = [
        text.index(name) for name in ("T140000Z-production", "T130000Z-sandbox", "T120000Z-sandbox")
    ]
    assert order == sorted(order)
    assert "3 runs" in text
    assert "interrupted in migrate" in text


PHASE = {"phase": "01_core_enhancements"}


def test_an_earlier_try_is_kept_apart_from_what_came_of_the_phase(
    run: Callable[..., Path], executed: dict[str, Path]
) -> None:
    folder = run("whole")
    shutil.copy(executed["failing"], folder / "01_core_enhancements.try1.ipynb")
    Journal(folder).append("run.resumed", operator="night shift")
    Journal(folder).append("run.finished", verdict="passed")
    report.build(folder)
    found = pages(folder)
    assert (
        "an earlier try of 01_core_enhancements"
        in found["01_core_enhancements.try1.html"].text.lower()
    )
    assert "Look here first" not in found["index.html"].text
    assert "the run was interrupted, and resumed at" in found["index.html"].text
    assert found["index.html"].text.startswith("passed: run")


def test_what_stopped_a_notebook_is_told(run: Callable[..., Path]) -> None:
    folder = run("killed", until="verb.finished migrate")
    Journal(folder).append(
        "notebook.failed", notebook="01_core_enhancements.ipynb", error="Kernel died"
    )
    report.build(folder)
    assert "01_core_enhancements.ipynb stopped: Kernel died" in pages(folder)["index.html"].text


def test_who_approved_is_read_from_the_evidence_where_the_journal_does_not_say(
    run: Callable[..., Path],
) -> None:
    folder = run(until="verb.finished migrate")
    (folder / "evidence").mkdir()
    (folder / "evidence" / "1.plan.json").write_text("no json")
    (folder / "evidence" / "1.approve.json").write_text('{"facts": {"approver": "k.saar"}}')
    report.build(folder)
    assert "Approver k.saar" in pages(folder)["index.html"].text


def test_steps_stand_under_the_verb_that_carried_them_out(run: Callable[..., Path]) -> None:
    folder = run("whole", outcome="failed")
    journal = Journal(folder)
    journal.append("verb.started", verb="roll_back", **PHASE)
    journal.append("step.started", version="001", step="enums", direction="down", **PHASE)
    journal.append(
        "step.finished", version="001", step="enums", state="done", duration_ms=3, **PHASE
    )
    journal.append("verb.finished", verb="roll_back", verdict="passed", **PHASE)
    journal.append("phase.finished", verdict="rolled back", reason="the guard tripped", **PHASE)
    journal.append("run.finished", verdict="rolled back", reason="the guard tripped")
    report.build(folder)
    told = json.loads((folder / "summary.json").read_text())
    assert [(step["verb"], step["step"]) for step in told["phases"][0]["steps"]] == [
        ("migrate", "enums"), ("roll_back", "enums"),
    ]  # fmt: skip
    assert (told["verdict"], told["exit_code"]) == ("rolled back", 1)


def test_parameters_that_only_papermill_knows_are_shown(run: Callable[..., Path]) -> None:
    folder = run("whole", until="run.started")
    report.build(folder)
    assert "Parameters environment staging" in pages(folder)["index.html"].text


def test_no_runs_at_all(tmp_path: Path) -> None:
    assert "No runs yet" in report.index(tmp_path).read_text()


def test_a_widget_is_shown_by_its_html(run: Callable[..., Path]) -> None:
    folder = run("")
    cell = new_code_cell("live", id="w1", execution_count=1)
    bundle = {
        "application/vnd.jupyter.widget-view+json": {
            "model_id": "x",
            "version_major": 2,
            "version_minor": 0,
        },
        "text/html": "<b>the final picture</b>",
        "text/plain": "Widget()",
    }
    cell.outputs = [nbformat.v4.new_output("display_data", data=bundle)]
    nbformat.write(new_notebook(cells=[cell]), folder / "01_core_enhancements.ipynb")
    report.build(folder)
    page = pages(folder)["01_core_enhancements.html"]
    assert "the final picture" in page.text
    assert "Widget()" not in page.text


def test_charts_are_embedded_with_their_title_as_text(run: Callable[..., Path]) -> None:
    import pandas as pd

    from mantis_runbook import charts

    folder = run()
    picture = charts.durations(
        pd.DataFrame({"step": ["a"], "predicted_ms": [10.0], "actual_ms": [30.0]})
    )
    charts.save(picture, folder / CHARTS / "durations.png")
    text = report.build(folder).read_text()
    assert "data:image/png;base64," in text
    assert (
        'alt="Steps took 30 ms, predicted 10 ms; “a” ran furthest over its prediction, 3.0 times as'
        ' long"' in text
    )


def as_left_by_the_run(tmp_path: Path) -> Path:
    """The example's journal, evidence and measurements, as its run left them before its report was
    made.
    """
    folder = tmp_path / "20261122T224701Z-sandbox"
    ignored = shutil.ignore_patterns("*.html", "*.ipynb", "manifest.*", "summary.json", CHARTS)
    shutil.copytree(REPOSITORY / "reports" / "example", folder, ignore=ignored)
    return folder


DRAWN = [
    "phase_0_back_up_organisations.png",
    "phase_0_compare_monitoring.png",
    "phase_1_back_up_organisations.png",
    "phase_1_compare_durations.png",
    "phase_1_migrate_latency.png",
    "phase_1_migrate_monitoring.png",
]


def test_an_archive_has_its_pictures_as_files_in_the_manifest_and_in_the_report(
    tmp_path: Path,
) -> None:
    folder = as_left_by_the_run(tmp_path)
    page = Page(report.build(folder).read_text())
    assert sorted(path.name for path in (folder / CHARTS).iterdir()) == DRAWN
    listed = json.loads((folder / manifest.MANIFEST).read_text())["files"]
    assert {f"{CHARTS}/{name}" for name in DRAWN} <= listed.keys() & set(page.links)
    assert "Pictures" in page.text
    assert page.tags.count("figure") == page.tags.count("img") == len(DRAWN)
    assert manifest.verify(folder) == ()
    before = {path.name: path.read_bytes() for path in (folder / CHARTS).iterdir()}
    (folder / manifest.HEAD).unlink()
    report.build(folder)
    assert {path.name: path.read_bytes() for path in (folder / CHARTS).iterdir()} == before


def test_a_picture_that_cannot_be_drawn_is_left_out_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = as_left_by_the_run(tmp_path)
    (folder / "probe-1.csv").write_text("at_s,lane\n1.5,")
    (folder / "evidence" / "0.back_up.json").write_text('{"phase": "0", "ver')
    report.build(folder)
    expected = [
        name
        for name in DRAWN
        if name not in ("phase_0_back_up_organisations.png", "phase_1_migrate_latency.png")
    ]
    assert sorted(path.name for path in (folder / CHARTS).iterdir()) == expected
    assert (
        "no picture phase_1_migrate_latency of run 20261122T224701Z-sandbox: KeyError"
        in caplog.text
    )


LOADING = [
    '<img src="http://x.example/a.png">',
    '<img src="//x.example/a.png">',
    '<img src=x onerror="alert(1)">',
    '<img srcset="http://x.example/a.png 2x">',
    '<p style="background:url(http://x.example/a.png)">',
    '<p style="background:u\\72l(http://x.example/a.png)">',
    '<p style="background:url(http://x.example/a.png">',
    '<p style="background:image-set(&quot;http://x.example/a.png&quot; 1x)">',
    "<style>@import url(http://x.example/a.css); p { background: url('//x.example/b') }</style>",
    '<link rel="stylesheet" href="http://x.example/a.css">',
    '<script src="http://x.example/a.js"></script>',
    "<script>alert(1)</script>",
    "<SCRIPT >alert(1)</SCRIPT\n>",
    '<iframe src="http://x.example/"></iframe>',
    '<object data="http://x.example/"></object>',
    '<embed src="http://x.example/">',
    '<video poster="http://x.example/a.png" src="http://x.example/a.mp4"></video>',
    '<svg><image href="http://x.example/a.png"/><use xlink:href="http://x.example/a.svg#b"/></svg>',
    '<svg><script>alert(1)</script><circle fill="url(http://x.example/a)"/></svg>',
    '<form action="http://x.example/"><button formaction="http://x.example/">x</button></form>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href=" java&#10;script:alert(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<a href="//x.example/" ping="http://x.example/">x</a>',
    '<meta http-equiv="refresh" content="0;url=http://x.example/">',
    '<base href="http://x.example/">',
    '<table background="http://x.example/a.png"><tr><td>x</td></tr></table>',
    '<img src="../../../../etc/passwd.png">',
    '<math><mtext><style><img src=x onerror="alert(1)"></style></mtext></math>',
    '<textarea></textarea><img src="http://x.example/a.png"></textarea>',
    "<!--><script>alert(1)</script>-->",
]


@pytest.mark.parametrize("fragment", LOADING)
def test_nothing_that_loads_or_runs_comes_through(fragment: str, tmp_path: Path) -> None:
    sealed = seal(f"<p>before</p>{fragment}<p>after</p>", folder=tmp_path)
    page = Page(sealed)
    assert page.loads == []
    assert "script" not in page.tags
    assert "x.example" not in sealed
    assert not any("script:" in link for link in page.links)
    assert "before" in page.text


@pytest.mark.parametrize(
    "fragment",
    [
        "<details><summary>more</summary><pre>a &lt; b &amp; c</pre></details>",
        '<table class="dataframe"><tbody><tr><td style="color:#111">1</td></tr></tbody></table>',
        '<img alt="x" src="data:image/png;base64,AAAA">',
        '<svg viewbox="0 0 1 1"><path d="M0 0" fill="url(#g)"></path></svg>',
    ],
)
def test_what_is_harmless_stays_as_it_is(fragment: str) -> None:
    assert seal(fragment) == fragment


def test_tags_left_open_cannot_swallow_the_next_cell() -> None:
    assert seal("<div><b>x</section></div></main>") == "<div><b>x</b></div>"
    assert seal("<table><tr><td>x") == "<table><tr><td>x</td></tr></table>"


def test_an_image_beside_the_notebook_is_embedded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    assert (
        seal('<img alt="a" src="a.png">', folder=tmp_path)
        == '<img alt="a" src="data:image/png;base64,cG5n">'
    )


def test_text_in_a_cell_that_lost_its_id_has_an_anchor_all_the_same(tmp_path: Path) -> None:
    old = nbformat.v4.new_notebook(cells=[new_code_cell("1", execution_count=1)])
    del old.cells[0]["id"]
    old.nbformat_minor = 4
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(old))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [cell.anchor for cell in notebook_page.cells(path)] != ["cell-"]


def test_html_marks_itself_only_on_purpose() -> None:
    assert Html("<b>")._repr_html_() == "<b>"


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_browser_draws_the_overview_without_complaint(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    folder = run("failing", outcome="failed")
    overview = report.build(folder)
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    result = subprocess.run(
        ["chromium", *options, "--enable-logging=stderr", "--dump-dom", overview.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    assert "CONSOLE" not in result.stderr, result.stderr
    assert "Look here first" in result.stdout
