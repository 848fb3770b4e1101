"""The log for an operator who must see it: each statement of our sessions, each program's command
line. Off by default.

`MANTIS_RUNBOOK_LOG` names the file; every process of a run, the notebooks' kernels too, appends to
it. Values are left out: no parameter of a statement is written, and no literal in it.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from mantis_runbook.errors import ParameterError

__all__ = ["VARIABLE", "follow", "is_on", "program", "statement"]

VARIABLE = "MANTIS_RUNBOOK_LOG"

#: How much of a statement is written, and how often a followed file is looked at (seconds).
WIDTH, PAUSE_S = 600, 0.2

#: What is left out of statements. Quoted names stay: they are matched so that a quote in one begins
#: no literal.
VALUES = re.compile(
    r"""(?P<name>"(?:[^"]|"")*")|--[^\n]*|/\*.*?\*/"""
    r"""|[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$""",
    re.DOTALL,
)


def is_on() -> bool:
    """Whether somebody asked for the log."""
    return bool(os.environ.get(VARIABLE))


def statement(session: str, text: str) -> None:
    """Log a statement that is about to be sent, without its values."""
    if is_on():
        shown = " ".join(VALUES.sub(_left, text).split())
        _logger(os.environ[VARIABLE]).info(
            "%s: %s", session, shown if len(shown) <= WIDTH else f"{shown[:WIDTH]}…"
        )


def program(arguments: Sequence[str | Path]) -> None:
    """Log a command line that is about to run.

    None of ours holds a secret: every user of the machine reads them.
    """
    if is_on():
        _logger(os.environ[VARIABLE]).info("%s", shlex.join(map(str, arguments)))


def follow() -> Callable[[], None]:
    """Show our log and our children's on stderr, until the returned function is called."""
    descriptor, name = tempfile.mkstemp(prefix="mantis-runbook-", suffix=".log")
    os.close(descriptor)
    os.environ[VARIABLE] = name
    ended = threading.Event()
    thread = threading.Thread(target=_copy, args=(Path(name), ended), daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join(timeout=5)
        os.environ.pop(VARIABLE, None)
        Path(name).unlink(missing_ok=True)

    return end


def _copy(path: Path, ended: threading.Event) -> None:
    with path.open(encoding="utf-8", errors="replace") as file:
        is_last = False
        while not is_last:
            is_last = ended.wait(PAUSE_S)
            sys.stderr.write(file.read())
            sys.stderr.flush()


def _left(match: re.Match[str]) -> str:
    return match["name"] or ("" if match[0].startswith(("--", "/*")) else "'…'")


@cache
def _logger(path: str) -> logging.Logger:
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise ParameterError(
            VARIABLE, found=f"{path}: {error.strerror}", expected="a file that can be written",
            action="name another one, or unset the variable",
        ) from None  # fmt: skip
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(process)d %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger = logging.getLogger(f"{__name__}.{path}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return logger
