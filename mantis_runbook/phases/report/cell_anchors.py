"""Where the cell that calls a verb stands on its notebook's page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["anchor", "calls", "of_verbs"]


def anchor(identifier: object) -> str:
    """The name on the page of the cell with this id (or number, where it has none)."""
    return f"cell-{identifier}"


def calls(source: str, verb: str) -> bool:
    """Whether the code calls a verb: there is `verb(` in it."""
    return re.search(rf"(?<![\w]){re.escape(verb)}\(", source) is not None


def of_verbs(notebook: Path, verbs: Iterable[str]) -> dict[str, str]:
    """Verb → anchor of the first cell that calls it, as far as the notebook has one; none where it
    cannot be read.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        code = [
            ("".join(cell["source"]), cell["id"]) for cell in cells if cell["cell_type"] == "code"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    matches = (
        (verb, next((name for source, name in code if calls(source, verb)), None)) for verb in verbs
    )
    return {verb: anchor(name) for verb, name in matches if name}
