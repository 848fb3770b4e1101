"""The first page of a run's report: the verdict, where to look first, the facts, what deviated, the steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mantis_runbook import archive, manifest
from mantis_runbook.display import COLOURS, FAMILY, Html, badge, duration, escape, many
from mantis_runbook.notebook_page import Notebook
from mantis_runbook.offline import data_uri, page
from mantis_runbook.summary import Deviation, Phase, Step, Summary, Verb
from mantis_runbook.verdict import Verdict

__all__ = ["CHARTS", "INDEX", "band", "instant", "linked", "named", "overview", "sentence", "short"]

INDEX = "index.html"
CHARTS = "charts"

BAD = ("failed", "rolled back", "refused", "inconclusive", "interrupted")


def overview(folder: Path, told: Summary, notebooks: Mapping[str, Notebook]) -> str:
    """The page `index.html` of a run; `notebooks` by the names of their files, without suffix."""
    parts = (
        '<nav class="trail"><a href="../index.html">All runs</a></nav>',
        band(told.verdict, told.run),
        _failures(told, notebooks),
        _facts(told, notebooks),
        _deviations(told, notebooks),
        _phases(told, notebooks),
        _pictures(folder),
        _contents(folder, notebooks),
    )
    return page(f"{told.verdict.word}: run {told.run}", "\n".join(part for part in parts if part))


def band(verdict: Verdict, run: str, *, small: bool = False) -> str:
    """A verdict as a coloured band: mark, word, reason, and whose it is."""
    mark, background, colour = COLOURS[FAMILY[verdict.word]]
    reason = f"<p>{escape(sentence(verdict.reason))}</p>" if verdict.reason else ""
    return (
        f'<header class="verdict{" small" if small else ""}" style="background:{background};color:{colour}">'
        f'<span class="mark" aria-hidden="true">{mark}</span><div><h1>{escape(verdict.word)}</h1>{reason}</div>'
        f'<div class="run">{escape(run)}</div></header>'
    )


def _failures(told: Summary, notebooks: Mapping[str, Notebook]) -> str:
    """What to look at first, each with a link to the cell; empty when the run passed."""
    bad = [item for item in told.deviations if item.grade in BAD]
    items = [
        f"<li>{badge(item.grade)} {linked(short(item.what), _address(item, notebooks))} {_where(item)}</li>"
        for item in bad
    ]
    said = " ".join(item.what for item in bad)
    items += [
        f'<li>{badge("failed")} <a href="{notebook.page}#{cell.anchor}">{escape(short(cell.error))}</a> '
        f'<span class="soft">in {escape(notebook.name)}</span></li>'
        for notebook in notebooks.values() for cell in notebook.cells
        if cell.state == "failed" and not notebook.earlier and cell.error not in said
    ]  # fmt: skip
    items += [f"<li>{escape(notebook.problem)}</li>" for notebook in notebooks.values() if notebook.problem]
    if told.verdict.passed and not items:
        return ""
    colour = COLOURS[FAMILY[told.verdict.word]][1]
    inner = f"<h2>Look here first</h2><ul>{''.join(items)}</ul>"
    return f'<section class="failures" style="border-color:{colour}">{inner}</section>'


def _address(item: Deviation, notebooks: Mapping[str, Notebook]) -> str:
    notebook = notebooks.get(item.where)
    if notebook is None:
        return ""
    halted = next((cell for cell in notebook.cells if cell.state in ("failed", "interrupted")), None)
    if halted and (item.grade == "interrupted" or (item.grade == "failed" and not item.verb)):
        return f"{notebook.page}#{halted.anchor}"
    return notebook.anchor(item.verb) if item.verb else notebook.page


def _facts(told: Summary, notebooks: Mapping[str, Notebook]) -> str:
    took = f" ({duration(told.duration_ms)})" if told.duration_ms is not None else ""
    ended = "Finished" if told.closed else "Last entry"
    who = {
        "Target": told.target, "Environment": told.environment, "Database": _identity(told.identity),
        "Operator": told.operator, "Approver": told.approver,
        "Parameters": _pairs(told.parameters or _parameters(notebooks)),
    }  # fmt: skip
    when = {
        "Started": instant(told.started), ended: instant(told.finished) + (took if told.finished else ""),
        "Commit": Html(f'<span class="mono">{escape(told.commit)}</span>') if told.commit else "",
        "Versions": _pairs(told.versions), "Machine": told.machine, "Load": _load(told.load),
        "Limits": _limits(told),
    }  # fmt: skip
    when = {name: value for name, value in when.items() if name not in ("Machine", "Load", "Limits") or value}
    return f'<section class="facts" aria-label="Facts of the run">{_list(who)}{_list(when)}</section>'


def _limits(told: Summary) -> str:
    if not told.limits:
        return ""
    return Html(f"<details><summary>of {escape(told.environment)}</summary>{_pairs(told.limits)}</details>")


def _load(load: Mapping[str, Any]) -> str:
    if not load:
        return ""
    return f"{load['transactions']:,} transactions of the application beside it, {load['failed']:,} failed, {load['latency_ms']:.1f} ms each"


def _parameters(notebooks: Mapping[str, Notebook]) -> dict[str, Any]:
    """The parameters that papermill gave the notebooks, where the journal has none."""
    return {name: value for notebook in notebooks.values() for name, value in notebook.parameters.items()}


def _list(pairs: Mapping[str, str]) -> str:
    missing = Html('<span class="soft">not recorded</span>')
    return (
        "<dl>"
        + "".join(f"<dt>{name}</dt><dd>{escape(value or missing)}</dd>" for name, value in pairs.items())
        + "</dl>"
    )


def _pairs(values: Mapping[str, Any]) -> Html:
    shown = (
        f'<span class="nowrap">{escape(name)} <b>{escape(_value(value))}</b></span>' for name, value in values.items()
    )
    return Html(", ".join(shown))


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "–"
    if value in (None, ""):
        return "–"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, dict)) else str(value)


def _identity(identity: Mapping[str, Any]) -> Html:
    rest = dict(identity)
    version = rest.pop("server_version", None)
    shown = {"database": rest.pop("database", None), "role": rest.pop("role", None)}
    if isinstance(version, int):
        shown["PostgreSQL"] = f"{version // 10_000}.{version % 10_000}"
    return _pairs({name: value for name, value in (shown | rest).items() if value is not None})


def _phases(told: Summary, notebooks: Mapping[str, Notebook]) -> str:
    if not told.phases:
        return "<h2>Phases and steps</h2><p>No phase was started in this run.</p>"
    rows = [verb.duration_ms for phase in told.phases for verb in phase.verbs]
    rows += [step.duration_ms for phase in told.phases for step in phase.steps]
    longest = max((row for row in rows if row), default=0.0)
    body = "".join(_phase_rows(phase, notebooks.get(phase.notebook), longest) for phase in told.phases)
    head = (
        '<th scope="col">phase, verb, step</th><th scope="col">result</th><th scope="col" class="number">duration</th>'
        '<th scope="col" class="number">attempts</th><th scope="col">what it found</th>'
    )
    table = f'<table class="wide"><thead><tr>{head}</tr></thead>{body}</table>'
    return f'<h2>Phases and steps</h2><div class="scroll">{table}</div>'


def _phase_rows(phase: Phase, notebook: Notebook | None, longest: float) -> str:
    name = linked(named(phase.notebook), notebook.page if notebook else "")
    said = escape(sentence(phase.verdict.reason)) + ("" if notebook else _no_notebook(phase))
    group = (
        f'<tr class="group"><th scope="rowgroup">{name}</th><td class="result">{badge(phase.verdict.word)}</td>'
        f'<td class="number">{duration(phase.duration_ms) if phase.duration_ms else ""}'
        f'<span class="bar" style="background:none"></span></td><td></td><td class="said">{said}</td></tr>'
    )
    if not any(verb.times for verb in phase.verbs) and not phase.steps:
        return f"<tbody>{group}</tbody>"
    rows = [_verb_row(verb, notebook, longest) + _step_rows(phase, verb.verb, longest) for verb in phase.verbs]
    rows.append(_step_rows(phase, "", longest))
    return f"<tbody>{group}{''.join(rows)}</tbody>"


def _step_rows(phase: Phase, verb: str, longest: float) -> str:
    return "".join(_step_row(step, longest) for step in phase.steps if step.verb == verb)


def _no_notebook(phase: Phase) -> str:
    begun = any(verb.times for verb in phase.verbs)
    return ' <span class="soft">(its notebook is not in the archive)</span>' if begun else ""


def _verb_row(verb: Verb, notebook: Notebook | None, longest: float) -> str:
    label = verb.verb.replace("_", " ")
    address = notebook.anchor(verb.verb) if notebook else ""
    evidence = _evidence(verb.evidence)
    return (
        f'<tr class="verb"><th scope="row">{linked(label, address)}</th><td class="result">{badge(verb.result)}</td>'
        f'<td class="number">{_bar(verb.duration_ms, longest)}</td><td class="number">{verb.times or ""}</td>'
        f'<td class="said">{escape(verb.summary)}{evidence}</td></tr>'
    )


def _evidence(name: str) -> str:
    if not name:
        return ""
    path = name if name.startswith(f"{archive.EVIDENCE}/") else f"{archive.EVIDENCE}/{name}"
    return f' <a class="nowrap" href="{escape(path)}">evidence</a>'


def _step_row(step: Step, longest: float) -> str:
    waits = many(step.lock_waits, "wait for a lock", "waits for a lock") if step.lock_waits else ""
    said = ", ".join(escape(part) for part in (step.note, waits, f"at LSN {step.lsn}" if step.lsn else "") if part)
    digest = step.statement_sha256
    hashed = f' <span class="mono soft" title="SHA-256 of the statement: {escape(digest)}">{escape(digest[:12])}</span>'
    return (
        f'<tr class="step"><th scope="row">{escape(step.version)} {escape(step.step)}</th>'
        f'<td class="result">{badge(step.state)}</td><td class="number">{_bar(step.duration_ms, longest)}</td>'
        f'<td class="number">{step.attempts}</td><td class="said">{said}{hashed if digest else ""}</td></tr>'
    )


def _bar(milliseconds: float | None, longest: float) -> str:
    if milliseconds is None:
        return '<span class="bar" style="background:none"></span>'
    width = 100 * milliseconds / longest if longest else 0
    bar = f'<span class="bar" aria-hidden="true"><i style="width:{width:.1f}%"></i></span>'
    return f"{duration(milliseconds)}{bar}"


def _deviations(told: Summary, notebooks: Mapping[str, Notebook]) -> str:
    if not told.deviations:
        return "<h2>What deviated</h2><p>Nothing: no warning, no second attempt, no interruption.</p>"
    rows = "".join(
        f'<tr><td class="result">{badge(item.grade)}</td><td class="nowrap">{escape(named(item.where))}</td>'
        f'<td class="said">{linked(item.what, _address(item, notebooks))}</td></tr>'
        for item in told.deviations
    )
    return f'<h2>What deviated</h2><div class="scroll"><table class="wide"><tbody>{rows}</tbody></table></div>'


def _pictures(folder: Path) -> str:
    figures = "".join(_figure(path) for path in sorted((folder / CHARTS).glob("*.png")))
    return f"<h2>Pictures</h2>{figures}" if figures else ""


def _figure(path: Path) -> str:
    name = path.stem.replace("_", " ")
    return (
        f'<figure><img src="{data_uri(path)}" alt="{escape(_picture_title(path) or name)}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
    )


def _picture_title(path: Path) -> str:
    """The title that a picture of ours carries in its file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return " ".join(str(image.info.get("Title", "")).split())
    except OSError:
        return ""


def _contents(folder: Path, notebooks: Mapping[str, Notebook]) -> str:
    evidence = sorted((folder / archive.EVIDENCE).glob("*.json"))
    names = [notebook.page for notebook in notebooks.values()]
    names += [notebook.path.name for notebook in notebooks.values()]
    names += [f"{archive.EVIDENCE}/{path.name}" for path in evidence]
    names += [name for name in ("journal.jsonl",) if (folder / name).exists()]
    names += ["summary.json", manifest.MANIFEST, manifest.HEAD]
    items = "".join(f'<li><a href="{escape(name)}">{escape(name)}</a></li>' for name in names)
    return (
        f'<h2>What belongs to this run</h2><ul class="files">{items}</ul>'
        '<p class="soft">The manifest holds the SHA-256 of every file, of the SQL and notebook sources, and of the run '
        f"before. Whether anything changed since, <code>mantis-runbook verify {escape(folder.name)}</code> tells.</p>"
    )


def linked(text: str, address: str) -> str:
    """The text, escaped, as a link when there is an address."""
    return f'<a href="{escape(address)}">{escape(text)}</a>' if address else str(escape(text))


def named(notebook: str) -> str:
    """A phase by its notebook's name; one that was never started is known by its number only."""
    return f"phase {notebook}" if notebook.isdigit() else notebook


def _where(item: Deviation) -> str:
    return f'<span class="soft">in {escape(named(item.where))}</span>' if item.where else ""


def short(text: str) -> str:
    """The text on one line, cut after 300 letters."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:299]}…"


def sentence(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def instant(when: datetime | None) -> str:
    """A UTC instant to the second; nothing for none."""
    return when.strftime("%Y-%m-%d %H:%M:%S UTC") if when else ""
