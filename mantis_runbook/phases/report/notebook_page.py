"""One executed notebook as one page: every cell with what became of it, in the notebook's order."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbconvert import HTMLExporter
from traitlets.config import Config

from mantis_runbook.errors import RunbookError
from mantis_runbook.markup import Html
from mantis_runbook.phases.report import pages as archive_pages
from mantis_runbook.phases.report.cell_anchors import anchor, calls
from mantis_runbook.phases.report.offline_html import seal
from mantis_runbook.runs.verdict import Verdict

__all__ = ["Cell", "Notebook", "NotebookError", "cell_of", "cells", "load", "render", "title"]

#: What a cell shows of an output that comes in several forms; a widget without its static HTML
#: shows as text.
FORMS = [
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/latex",
    "text/plain",
]

#: A link of a text to another notebook beside it.
NOTEBOOK_LINK = re.compile(r"\[([^\[\]]+)\]\(([\w.-]+\.ipynb)\)")

State = Literal["ran", "failed", "interrupted", "not run", "not stored", "text"]

STATES: Mapping[State, str] = {
    "interrupted": "This was the last cell to start, and nothing shows that it ended.",
    "not run": "This cell was not run.",
    "not stored": "The journal says that this ran; its output was not stored in the notebook.",
}


class NotebookError(RunbookError):
    """A notebook file that is no notebook, or only the beginning of one."""


@dataclass(frozen=True)
class Cell:
    """A cell and its fate. `anchor` names it on its page; `error` is the exception's name and
    message, if it raised.
    """

    anchor: str
    state: State
    source: str
    error: str = ""
    node: Any = None

    @property
    def duration_ms(self) -> float | None:
        """How long papermill says it took; None when it did not run, or a person ran it."""
        seconds = (
            self.node.metadata.get("papermill", {}).get("duration")
            if self.state in ("ran", "failed")
            else None
        )
        return seconds * 1000 if isinstance(seconds, (int, float)) else None


@dataclass(frozen=True)
class Notebook:
    """An executed notebook of the run; `problem` says why it cannot be shown, `parameters` what
    papermill gave it.
    """

    path: Path
    cells: tuple[Cell, ...] = ()
    problem: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def earlier(self) -> str:
        """Of a try before the last one, which is kept as `<name>.try1.ipynb`: the notebook's name;
        else nothing.
        """
        match = re.fullmatch(r"(.+)\.try\d+", self.name)
        return match[1] if match else ""

    @property
    def page(self) -> str:
        return f"{self.name}.html"

    def anchor(self, verb: str) -> str:
        """Address of the cell that calls a verb, else of the page."""
        cell = cell_of(self.cells, verb)
        return f"{self.page}#{cell.anchor}" if cell else self.page


def load(path: Path, *, verbs: Collection[str] = (), interrupted: bool = False) -> Notebook:
    """A notebook with its cells (see `cells`), or with the reason why they cannot be had."""
    try:
        found = tuple(cells(path, verbs=verbs, interrupted=interrupted))
        return Notebook(
            path, found, parameters=_read(path).metadata.get("papermill", {}).get("parameters", {})
        )
    except NotebookError as error:
        return Notebook(path, problem=str(error))


def cells(path: Path, *, verbs: Collection[str] = (), interrupted: bool = False) -> list[Cell]:
    """The cells of an executed notebook. Raises `NotebookError`.

    `verbs` are those the journal knows as started in this notebook's phase, `interrupted` whether
    the journal lacks the phase's end. Whether a cell ran is told by its execution count:
    papermill's own word is not to be trusted after a timeout or a dead kernel.
    """
    nodes = [node for node in _read(path).cells if node.source.strip() and not _is_banner(node)]
    anchors = _anchors(nodes)
    last = max(
        (index for index, node in enumerate(nodes) if node.get("execution_count") is not None),
        default=-1,
    )
    found = []
    for index, node in enumerate(nodes):
        error = _error(node)
        state = _state(node, error, verbs)
        if index == last and state == "ran" and interrupted and _unrun(nodes[index + 1 :]):
            state = "interrupted"
        found.append(Cell(anchors[index], state, node.source, error, node))
    return found


def cell_of(candidates: Collection[Cell], verb: str) -> Cell | None:
    """The cell that calls a verb: the first code cell with `verb(` in it."""
    return next(
        (cell for cell in candidates if cell.state != "text" and calls(cell.source, verb)), None
    )


def title(candidates: Collection[Cell], otherwise: str) -> str:
    """The notebook's first heading."""
    texts = (cell.source for cell in candidates if cell.state == "text")
    matches = (re.search(r"^#\s+(.+)$", text, re.MULTILINE) for text in texts)
    return next((match[1].strip() for match in matches if match), otherwise)


def render(
    notebook: Notebook,
    folder: Path,
    verdict: Verdict,
    *,
    index: str,
    run: str,
    pages: Collection[str],
) -> str:
    """The notebook's page, below the verdict of its phase; `pages` are the file names that links
    may lead to.
    """
    sections = [(cell, _content(cell, folder, pages)) for cell in notebook.cells]
    return archive_pages.render(
        "notebook",
        title=f"{title(notebook.cells, notebook.name)} – {folder.name}",
        notebook=notebook,
        verdict=verdict,
        index=index,
        run=run,
        sections=sections,
        states=STATES,
    )


def _read(path: Path) -> Any:
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (
        Exception
    ) as error:  # whatever the file may hold, it is evidence and must not stop the report
        raise NotebookError(
            f"notebook {path.name} of run {path.parent.name}",
            found=f"{type(error).__name__} while reading it",
            expected="an executed notebook",
            action="the journal says what was done all the same",
        ) from None
    return notebook


def _is_banner(node: Any) -> bool:
    """Whether papermill put this cell in to announce a failure; the page has a notice of its
    own.
    """
    return "papermill-error-cell-tag" in node.metadata.get("tags", [])


def _anchors(nodes: list[Any]) -> list[str]:
    return [anchor(node.get("id") or number) for number, node in enumerate(nodes, start=1)]


def _error(node: Any) -> str:
    """Name and message of the exception that a cell ended with; none for one that was expected."""
    if "raises-exception" in node.metadata.get("tags", []):
        return ""
    errors = [output for output in node.get("outputs", []) if output.output_type == "error"]
    return f"{errors[-1].ename}: {errors[-1].evalue}" if errors else ""


def _state(node: Any, error: str, verbs: Collection[str]) -> State:
    if node.cell_type != "code":
        return "text"
    if error:
        return "failed"
    if node.execution_count is not None:
        return "ran"
    return "not stored" if any(calls(node.source, verb) for verb in verbs) else "not run"


def _unrun(nodes: list[Any]) -> bool:
    code = [node for node in nodes if node.cell_type == "code"]
    return all(node.execution_count is None for node in code)


def _content(cell: Cell, folder: Path, pages: Collection[str]) -> Html:
    """What nbconvert makes of a cell, without anything that loads or runs."""
    converted = _converted(_spelled_out(cell.node, folder, pages))
    return Html(seal(converted, folder=folder, link=lambda target: _link(target, folder, pages)))


def _spelled_out(node: Any, folder: Path, pages: Collection[str]) -> Any:
    """A text whose links to notebooks that are not in the archive say where those are, as nothing
    can lead there.
    """
    if node.cell_type != "markdown":
        return node

    def spelled(match: re.Match[str]) -> str:
        return (
            match[0] if _link(match[2], folder, pages) else f"{match[1]} (`notebooks/{match[2]}`)"
        )

    return nbformat.from_dict({**node, "source": NOTEBOOK_LINK.sub(spelled, node.source)})


def _converted(node: Any) -> str:
    notebook = nbformat.v4.new_notebook(cells=[node])
    html: str = _exporter().from_notebook_node(notebook)[0]
    return html


@cache
def _exporter() -> HTMLExporter:
    config = Config({"NbConvertBase": {"display_data_priority": FORMS}})
    quiet = logging.getLogger(__name__)
    return HTMLExporter(template_name="basic", config=config, exclude_anchor_links=True, log=quiet)


def _link(target: str, folder: Path, pages: Collection[str]) -> str | None:
    """Links among the notebooks lead to their pages, also to those of another run; what is not in
    the archive is no link.
    """
    if re.match(r"https?:|mailto:|#", target, re.IGNORECASE):
        return target
    path, hash_sign, fragment = target.partition("#")
    name = re.sub(r"\.ipynb$", ".html", path.removeprefix("./"))
    other = re.fullmatch(r"\.\./[\w.-]+/[\w.-]+\.html", name) and (folder / name).is_file()
    return f"{name}{hash_sign}{fragment}" if name in pages or other else None
