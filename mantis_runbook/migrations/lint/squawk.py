"""Squawk, the linter: running it over a script, and which of its rules are ours to hear."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mantis_runbook.errors import ProgramError
from mantis_runbook.postgres import programs
from mantis_runbook.postgres.connection import OLDEST

__all__ = ["EXCLUDED", "Remark", "remarks"]

#: Rules of squawk that are not heard, and why.
EXCLUDED = {
    "require-timeout-settings": "the engine sets the timeouts of each step",
    "require-lock-timeout": "the engine sets the timeouts of each step",
    "require-statement-timeout": "the engine sets the timeouts of each step",
    "transaction-nesting": "reading the file refuses BEGIN and COMMIT",
    "ban-uncommitted-transaction": "reading the file refuses BEGIN and COMMIT",
    "ban-concurrent-index-creation-in-transaction": (
        "reading the file decides which steps run in a transaction"
    ),
    "prefer-robust-stmts": (
        "the journal knows what was done; IF NOT EXISTS would accept a leftover of another shape"
    ),
    "syntax-error": "PostgreSQL's own grammar has read the file",
    "require-table-schema": "the engine pins the search_path",
    "prefer-bigint-over-int": "the schema decides which numbers are small",
    "prefer-bigint-over-smallint": "the schema decides which numbers are small",
    "prefer-text-field": "the schema decides which texts are short",
    "prefer-repack": "our own rules say so where it matters",
    "require-concurrent-index-creation": "index-blocks-writes knows which tables are new",
    "require-concurrent-index-deletion": "drop-index-blocks knows which tables are new",
    "require-concurrent-partition-detach": "detach-blocks knows which tables are new",
    "require-concurrent-reindex": "reindex-blocks knows which tables are new",
    "adding-field-with-default": "column-rewrites",
    "adding-serial-primary-key-field": "column-rewrites",
    "adding-foreign-key-constraint": "foreign-key-scans and inline-foreign-key",
    "adding-not-nullable-field": "not-null-scans",
    "adding-required-field": "required-column",
    "changing-column-type": "type-rewrites",
    "constraint-missing-not-valid": "check-scans and foreign-key-scans",
    "disallowed-unique-constraint": "constraint-builds-index",
    "renaming-column": "rename-column",
    "renaming-table": "rename-table",
    "ban-drop-column": "drop-column",
    "ban-drop-table": "drop-table",
    "ban-truncate-cascade": "cascade and truncate",
    "ban-disable-trigger": "many-strong-locks sees its lock",
    "unused-ignore": "hidden-exemption",
}

#: Rules of squawk that refuse a migration; all others warn.
ERRORS = {"ban-drop-database", "ban-alter-domain-with-add-constraint", "identifier-too-long"}


@dataclass(frozen=True)
class Remark:
    """What squawk says of a line."""

    rule: str
    line: int
    message: str
    advice: str

    @property
    def is_error(self) -> bool:
        return self.rule in ERRORS


def remarks(text: str, name: str) -> tuple[Remark, ...]:
    """What squawk says of a script.

    Raises `ProgramMissing` or `ProgramError` when it cannot say anything.
    """
    command = [
        str(_program()), "--reporter", "json", "--stdin-filepath", name, "--config", "/dev/null",
        "--pg-version", f"{OLDEST}.0",
    ]  # fmt: skip
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    try:
        reports: list[dict[str, Any]] = json.loads(result.stdout)
    except json.JSONDecodeError:
        words = (result.stderr or result.stdout).strip()[:500]
        raise ProgramError(
            "squawk gave no report", found=words or f"exit code {result.returncode}"
        ) from None
    return tuple(_remark(one) for one in reports if one["rule_name"] not in EXCLUDED)


def _program() -> Path:
    program = programs.on_path("squawk")
    if program is None:
        raise programs.ProgramMissing(
            "squawk was not found", action="install it: pip install squawk-cli"
        )
    return program


def _remark(remark: dict[str, Any]) -> Remark:
    return Remark(remark["rule_name"], remark["line"] + 1, remark["message"], remark["help"] or "")
