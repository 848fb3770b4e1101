"""The header of a migration: its title, its phase and what it requires."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mantis_runbook.migrations.steps import STEP
from mantis_runbook.postgres.statements import Comment, Source

__all__ = ["TITLE", "Header", "header_lines", "header_of"]

TITLE = re.compile(r"--\s*Migration\s+(\S+):\s*(\S.*)", re.IGNORECASE)
HEADER = re.compile(r"--\s*(requires|phase)\s*:\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """What the comments above a migration's first step say.

    They are `-- Migration 002: title`, `-- requires:` and `-- phase:`.
    """

    title: str
    phase: str
    requires: tuple[str, ...]


def header_of(source: Source) -> Header:
    """The header; a line that is missing leaves its field empty."""
    header = header_lines(source)
    title = [match[2].strip() for line, match in header if match.re is TITLE]
    phase = [match[2].strip() for line, match in header if match[1].lower() == "phase"]
    requires = [match[2].split(",") for line, match in header if match[1].lower() == "requires"]
    named = tuple(part.strip() for parts in requires for part in parts if part.strip())
    return Header("".join(title[:1]), "".join(phase[:1]), named)


def header_lines(source: Source) -> list[tuple[int, re.Match[str]]]:
    """Number and match of each line that is a title, `requires:` or `phase:`."""
    comments = [
        (one.line, TITLE.fullmatch(one.text) or HEADER.fullmatch(one.text))
        for one in _header_comments(source)
    ]
    return [(line, match) for line, match in comments if match]


def _header_comments(source: Source) -> list[Comment]:
    steps = [one.line for one in source.comments if one.alone and STEP.fullmatch(one.text)]
    end = min(steps + [one.line for one in source.statements], default=None)
    return [one for one in source.comments if one.alone and (end is None or one.line < end)]
