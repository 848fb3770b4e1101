"""Long work while it runs: journalled, and shown as a bar with an estimate, in a terminal or in a
notebook cell.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from mantis_runbook import display
from mantis_runbook.migrations.files import Migration
from mantis_runbook.runs.journal import Journal

__all__ = ["Progress", "live"]

#: Not each try for a lock deserves a line in the journal: the first, and then one in so many.
WAITING_EVERY = 20


class Progress:
    """A watcher of the engine: each step moves the bar. `journal` None shows only, and records
    nothing.
    """

    def __init__(
        self, what: str, journal: Journal | None, phase: str, migrations: Sequence[Migration]
    ) -> None:
        self._what, self._journal, self._phase = what, journal, phase
        self._total = sum(len(one.up.steps) for one in migrations)
        self._done, self._began, self._last_shown = 0, time.monotonic(), 0.0
        self._handle: Any = None
        self._bar: Any = None

    def __enter__(self) -> Self:
        if _in_notebook():
            from IPython.display import display as show

            self._handle = show(display.Html(""), display_id=True)
        elif sys.stderr.isatty():
            self._bar = tqdm(total=self._total, desc=self._what, unit="step", file=sys.stderr)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._handle is not None:
            word = "passed" if kind is None else "failed"
            self._show(
                f"{self._done} steps in"
                f" {display.duration((time.monotonic() - self._began) * 1000)}",
                word,
            )

    def __call__(self, event: str, **facts: Any) -> None:
        if (
            self._journal is not None
            and event != "step.progress"
            and not self._is_noise(event, facts)
        ):
            self._journal.append(event, phase=self._phase, **facts)
        if event == "step.finished":
            self._done += 1
            if self._bar is not None:
                self._bar.update()
        self._tell(event, facts)

    def _is_noise(self, event: str, facts: dict[str, Any]) -> bool:
        return event == "step.waiting" and facts.get("attempt", 1) % WAITING_EVERY != 1

    def _tell(self, event: str, facts: dict[str, Any]) -> None:
        """What is going on now, at most five times a second."""
        now = time.monotonic()
        if now - self._last_shown < 0.2 and event != "step.waiting":
            return
        self._last_shown = now
        text = f"{self._done} of about {self._total} steps: {facts.get('step', '')}"
        if event == "step.progress" and facts.get("of"):
            text += f", {facts['rows']:,} of about {facts['of']:,} rows"
        if event == "step.waiting":
            text += "; waiting for " + (", ".join(facts.get("blockers", [])) or "a lock")
        self._show(text, "info")
        if self._bar is not None:
            self._bar.set_postfix_str(text[:60])

    def _show(self, text: str, kind: str) -> None:
        if self._handle is not None:
            self._handle.update(display.callout(kind, f"{self._what}: {text}"))


@contextmanager
def live() -> Iterator[Callable[[Any], None]]:
    """A place in the cell's output that is written over; silent outside a notebook, empty again at
    the end.
    """
    if not _in_notebook():
        yield lambda shown: None
        return
    from IPython.display import display as show

    handle = show(display.Html(""), display_id=True)
    try:
        yield handle.update
    finally:
        handle.update(display.Html(""))


def _in_notebook() -> bool:
    """A kernel that can update what a cell shows."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
