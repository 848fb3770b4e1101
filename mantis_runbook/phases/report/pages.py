"""What the pages of an archive have in common: their templates, and how words, phases and instants
are written.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment

from mantis_runbook.display import COLOURS, FAMILY, badge, callout, duration, many
from mantis_runbook.markup import templates
from mantis_runbook.runs.archive import EVIDENCE

__all__ = ["render"]


def render(page: str, **values: Any) -> str:
    """A whole page from the template `<page>.html.j2`."""
    return _templates().get_template(f"{page}.html.j2").render(values)


def _colours(word: str) -> tuple[str, str, str]:
    """Mark, background and colour of a verdict's word."""
    return COLOURS[FAMILY[word]]


def _named(notebook: str) -> str:
    """A phase by its notebook's name; one that was never started is known by its number only."""
    return f"phase {notebook}" if notebook.isdigit() else notebook


def _short(text: str) -> str:
    """The text on one line, cut after 300 letters."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:299]}…"


def _sentence(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def _instant(when: datetime | None) -> str:
    """A UTC instant to the second; nothing for none."""
    return when.strftime("%Y-%m-%d %H:%M:%S UTC") if when else ""


@cache
def _templates() -> Environment:
    return templates(
        badge=badge,
        callout=callout,
        colours=_colours,
        duration=duration,
        evidence=_evidence,
        instant=_instant,
        many=many,
        named=_named,
        sentence=_sentence,
        short=_short,
    )


def _evidence(name: str) -> str:
    """Where evidence lies in the archive; journals name its file with the folder, or without."""
    return name if name.startswith(f"{EVIDENCE}/") else f"{EVIDENCE}/{name}"
