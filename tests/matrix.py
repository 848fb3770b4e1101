"""The matrix of installations: every variant through all phases, back, and through them again, on
every server version.

`make installations`, or `python tests/matrix.py --only NAME --version 18 --phases 0-2 --once`. A
variant passes, or is refused in phase 0 with nothing changed; anything else is a failure after
phase 0, and is shown with its message.
"""

from __future__ import annotations

import argparse
import ast
import fnmatch
import functools
import json
import multiprocessing
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal
from unittest.mock import patch

import matplotlib.pyplot as plt
import psycopg
from conftest import chosen, made_server
from psycopg.conninfo import make_conninfo
from variants import Variant, build, load, make_role, remove

from mantis_runbook import settings
from mantis_runbook.errors import Refused
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import definitions, preparation
from mantis_runbook.phases.definitions import PhaseDefinition
from mantis_runbook.postgres.server import Server
from mantis_runbook.watch import watch

__all__ = ["Outcome", "attempt", "main"]

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "installations.md"
ROW = re.compile(r"^\| (\w+) \| (\d+) \| ([^|]*) \| (.*) \| ([\d.]+) \|$", re.MULTILINE)

#: What a database holds, by the rows of its catalogues and the number of rows in each table. No
#: name is read, so that it works in any encoding; what ANALYZE notes is written in place and does
#: not count.
CATALOGUES = (
    "pg_class",
    "pg_proc",
    "pg_namespace",
    "pg_type",
    "pg_constraint",
    "pg_trigger",
    "pg_policy",
    "pg_extension",
    "pg_publication",
    "pg_default_acl",
    "pg_event_trigger",
)
TABLES = """
    SELECT pg_class.oid::bigint, format('%I.%I', nspname, relname)
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r'
        AND nspname NOT IN ('pg_catalog', 'information_schema')
        AND nspname NOT LIKE 'pg\\_temp%'
    ORDER BY pg_class.oid
"""
COPIES = (
    "SELECT datname::text FROM pg_database WHERE datname LIKE 'mantis\\_scratch%' ORDER BY datname"
)

#: The variable that names another server for backups, where a variant asks for one.
SCRATCH = "MATRIX_SCRATCH"

#: The beginning of a message is enough for a table; the whole is printed. Folders of an attempt's
#: own say nothing there.
SHORT = 400
FOLDERS = re.compile(r"/\S*mantis-matrix-[^\s;,]*")


#: How far an attempt goes: the phases; and all of them rolled back; and the phases again.
Extent = Literal["once", "back", "twice"]


@dataclass(frozen=True)
class Outcome:
    """What came of one variant on one version."""

    variant: str
    version: int
    outcome: str
    message: str
    seconds: float
    is_expected: bool

    @property
    def line(self) -> str:
        mark = "" if self.is_expected else "UNEXPECTED "
        return (
            f"{self.variant:28} {self.version}  {self.seconds:6.1f} s  {mark}{self.outcome}:"
            f" {self.message}"
        )

    @property
    def row(self) -> str:
        said = FOLDERS.sub("…", self.message)
        short = said if len(said) <= SHORT else said[:SHORT] + " …"
        mark = "" if self.is_expected else "**not expected** "
        escaped = short.replace("|", "\\|").replace("<", "&lt;")
        return (
            f"| {self.variant} | {self.version} | {mark}{self.outcome} | {escaped} |"
            f" {self.seconds:.0f} |"
        )


class Stopped(Exception):
    """A phase that did not pass: in which pass and phase, at which cell, by what error."""

    def __init__(self, where: str, phase: str, error: BaseException | str) -> None:
        self.where, self.phase, self.error = where, phase, error
        kind = "" if isinstance(error, str) else f"{type(error).__name__}: "
        super().__init__(f"{where}: {kind}{' '.join(str(error).split())}")


def attempt(
    server: Server, variant: Variant, *, numbers: str = "all", extent: Extent = "twice"
) -> Outcome:
    """Build the variant, take it through the phases, back, and through them again; whatever happens
    is the outcome.
    """
    began, database = time.monotonic(), f"matrix_{variant.name}"
    try:
        parameters = build(server, variant, database)
        outside = server.parameters | {"dbname": database}
        with (
            _scratch(variant, server.version) as scratch,
            _named(variant, parameters, scratch) as target,
        ):
            outcome, message = _outcome(outside, target, variant.parameters, numbers, extent)
    finally:
        remove(server, database)
        _drop_copies(server)
    named = outcome != "refused" or variant.names.lower() in message.lower()
    return Outcome(
        variant.name, server.version, outcome, message, time.monotonic() - began,
        is_expected=outcome in variant.allowed and named,
    )  # fmt: skip


def _outcome(
    outside: dict[str, str], target: str, given: dict[str, str], numbers: str, extent: Extent
) -> tuple[str, str]:
    before = held(outside)
    try:
        _climb(target, given, numbers, "first pass")
    except Stopped as stopped:
        if stopped.phase == "0" and isinstance(stopped.error, Refused):
            if (changed := differences(before, held(outside))) == "":
                return "refused", " ".join(str(stopped.error).split())
            return "FAILS", f"refused in phase 0, but changed: {changed}; {stopped}"
        return "FAILS", str(stopped)
    except Exception as error:  # the matrix goes on, whatever one installation does to it
        return "FAILS", f"{type(error).__name__}: {' '.join(str(error).split())}"
    if extent == "once":
        return "passes", "passed once"
    try:
        _roll_back(target)
        if extent == "back":
            return "passes", "passed, rolled back"
        _climb(target, given, numbers, "second pass")
    except Stopped as stopped:
        return "FAILS", str(stopped)
    except Exception as error:
        return (
            "FAILS",
            f"after the first pass: {type(error).__name__}: {' '.join(str(error).split())}",
        )
    return "passes", "passed, rolled back, passed again"


def _climb(target: str, given: dict[str, str], numbers: str, which: str) -> None:
    """The phases by the cells of their notebooks, in this process."""
    for phase in definitions.select(numbers):
        where = f"{which}, phase {phase.number}"
        last = _cells(phase, where, given | {"target": target})
        if last.verdict not in ("passed", "warned"):
            raise Stopped(f"{where}, conclude", phase.number, f"{last.verdict}: {last.summary}")


def _roll_back(target: str) -> None:
    last = _cells(
        definitions.rollback(), "rollback", {"target": target, "version": "001", "scope": "from"}
    )
    if last.verdict != "passed":
        raise Stopped("rollback, conclude", "rollback", f"{last.verdict}: {last.summary}")


def _cells(phase: PhaseDefinition, where: str, given: dict[str, str]) -> Any:
    """Every cell of a notebook, shown as a kernel would show it; the value of the last."""
    given = given | {"environment": "development", "operator": "matrix"}
    given |= {"scratch": SCRATCH} if SCRATCH in os.environ else {}
    namespace: dict[str, Any] = {}
    value = None
    for cell in json.loads(phase.notebook.read_text())["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        try:
            value = _carried_out(source, namespace)
        except Exception as error:
            words = source.strip().splitlines()
            raise Stopped(f"{where}, cell `{words[-1]}`", phase.number, error) from error
        if "parameters" in cell["metadata"].get("tags", []):
            namespace |= given
    return value


def _carried_out(source: str, namespace: dict[str, Any]) -> Any:
    """The value of the last expression, after it was made visible."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), namespace)
    if last is None:
        return None
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)
    plt.close("all")
    if hasattr(value, "_repr_html_"):
        value._repr_html_()
    return value


# -- what must not change where nothing may be changed ---------------------------------------------


def held(parameters: dict[str, str]) -> dict[str, Any]:
    """The catalogues' rows, the tables' numbers of rows, the server's scratch databases."""
    options = (
        "-c default_transaction_read_only=off -c statement_timeout=0 -c search_path=pg_catalog -c"
        " row_security=off"
    )
    with psycopg.connect(
        **parameters, autocommit=True, client_encoding="utf8", options=options
    ) as connection:
        state: dict[str, Any] = {
            name: set(connection.execute(f"SELECT ctid::text, xmin::text FROM {name}").fetchall())
            for name in CATALOGUES
        }
        for oid, name in connection.execute(TABLES).fetchall():
            (count,) = connection.execute(f"SELECT count(*) FROM ONLY {name}").fetchone() or (None,)
            state[f"rows of {oid}"] = count
        state["scratch databases"] = connection.execute(COPIES).fetchall()
    return state


def differences(before: dict[str, Any], after: dict[str, Any]) -> str:
    return ", ".join(
        sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    )


# -- surroundings ----------------------------------------------------------------------------------


@contextmanager
def _scratch(variant: Variant, major: int) -> Iterator[dict[str, str]]:
    """Where backups are restored: beside the target, or on a server of its own that has the same
    roles.
    """
    if not variant.scratch:
        yield {}
        return
    with made_server(chosen()[major]) as server:
        server.start()
        with psycopg.connect(**server.parameters, autocommit=True) as connection:
            connection.execute(
                "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role BYPASSRLS"
            )
        if variant.role:
            make_role(server, "postgres", variant.role, "--set=bypass_rls=true")
        yield server.parameters | ({"user": variant.role} if variant.role else {})


@contextmanager
def _named(variant: Variant, parameters: dict[str, str], scratch: dict[str, str]) -> Iterator[str]:
    """The name of a variable that holds the target's connection string, and folders of this
    attempt's own.
    """
    folder, name = Path(mkdtemp(prefix="mantis-matrix-")), f"MATRIX_{variant.name.upper()}"
    changes = {
        name: make_conninfo(**parameters),
        "MANTIS_RUNBOOK_ENVIRONMENTS": str(folder / "environments.toml"),
    }
    changes |= {SCRATCH: make_conninfo(**scratch)} if scratch else {}
    changes |= {
        f"MANTIS_RUNBOOK_{one}": str(folder / one.lower())
        for one in ("REPORTS", "BACKUPS", "SANDBOX")
    }
    (folder / "environments.toml").write_text(_limits(variant))
    before = {key: os.environ.get(key) for key in changes}
    os.environ.update(changes)
    settings.environments.cache_clear()
    try:
        yield name
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
        settings.environments.cache_clear()
        shutil.rmtree(folder, ignore_errors=True)


def _limits(variant: Variant) -> str:
    """As they are, without load; the performance gate only where the variant asks for it."""
    limits = (REPOSITORY / "mantis_runbook" / "environments.toml").read_text()
    limits = re.sub(r"(?m)^load_rate = [\d.]+", "load_rate = 0.0", limits)
    return limits if variant.gate else limits.replace("in_rehearsal = true", "in_rehearsal = false")


def _drop_copies(server: Server) -> None:
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        copies = [name for (name,) in connection.execute(COPIES).fetchall()]
    for name in copies:
        remove(server, name)


@contextmanager
def prepared(major: int) -> Iterator[Server]:
    """A running server of that version, and this process set to wait for nothing that a matrix does
    not look at.
    """
    with (
        patch.dict(os.environ, MPLBACKEND="Agg"),
        patch.object(watch, "NOISE_S", 0.5),
        patch.object(preparation, "PAUSE_S", 0.02),
        patch.object(
            migration_files, "load", functools.cache(migration_files.load)
        ),  # long files, read for every verb
        made_server(
            chosen()[major],
            wal_level="logical",
            max_connections="200",
            fsync="on",
            full_page_writes="on",
        ) as server,
    ):
        server.start()
        yield server


def _batch(major: int, names: Sequence[str], numbers: str, extent: Extent) -> list[Outcome]:
    """Some variants on one server, each shown as soon as it is known."""
    outcomes = []
    with prepared(major) as server:
        for variant in load():
            if variant.name in names:
                outcomes.append(attempt(server, variant, numbers=numbers, extent=extent))
                print(outcomes[-1].line, flush=True)
    return outcomes


# -- the command -----------------------------------------------------------------------------------


def main(words: Sequence[str] | None = None) -> int:
    """Carry out what was asked for; 0 when every outcome is the one that its variant declares."""
    asked = _asked(words)
    wanted = [
        (major, variant.name)
        for major in sorted(chosen()) if not asked.version or major in asked.version
        for variant in load() if variant.runs_on(major) and _is_asked(variant, asked.only)
    ]  # fmt: skip
    if not wanted:
        print(
            "no variant of that name; there are " + ", ".join(one.name for one in load()),
            file=sys.stderr,
        )
        return 2
    outcomes = sorted(_carry_out(wanted, asked), key=lambda one: (one.variant, one.version))
    wrong = [one for one in outcomes if not one.is_expected]
    print(f"\n{len(outcomes)} attempts, {len(outcomes) - len(wrong)} as expected, {len(wrong)} not")
    for outcome in wrong:
        print(outcome.line)
    if asked.phases == "all" and asked.extent == "twice" and asked.write:
        PAGE.write_text(page(outcomes))
    return 1 if wrong else 0


def _carry_out(wanted: Sequence[tuple[int, str]], asked: argparse.Namespace) -> list[Outcome]:
    majors = sorted({major for major, _ in wanted})
    shares = max(1, asked.jobs // len(majors))
    batches = [
        (major, [name for version, name in wanted if version == major][share::shares])
        for major in majors for share in range(shares)
    ]  # fmt: skip
    if asked.jobs == 1:
        return [
            one
            for major, names in batches
            for one in _batch(major, names, asked.phases, asked.extent)
        ]
    with ProcessPoolExecutor(asked.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [
            pool.submit(_batch, major, names, asked.phases, asked.extent)
            for major, names in batches
        ]
        return [one for batch in as_completed(running) for one in batch.result()]


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="every installation, every phase, every server version"
    )
    parser.add_argument(
        "--only", action="append", default=[], help="names, or patterns, separated by commas"
    )
    parser.add_argument(
        "--version", action="append", type=int, default=[], help="18; may be given more than once"
    )
    parser.add_argument("--phases", default="all", help="such as 0-2: stop there")
    parser.add_argument(
        "--once",
        dest="extent",
        action="store_const",
        const="once",
        default="twice",
        help="do not roll back",
    )
    parser.add_argument(
        "--back",
        dest="extent",
        action="store_const",
        const="back",
        help="roll back, but do not pass again",
    )
    parser.add_argument(
        "--jobs", type=int, default=2, help="processes, each with a server of its own"
    )
    parser.add_argument(
        "--no-page", dest="write", action="store_false", help="leave docs/installations.md as it is"
    )
    return parser.parse_args(words)


def _is_asked(variant: Variant, only: Iterable[str]) -> bool:
    patterns = [one for given in only for one in given.split(",")]
    return not patterns or any(fnmatch.fnmatch(variant.name, pattern) for pattern in patterns)


def page(outcomes: Iterable[Outcome]) -> str:
    """The table for `docs/`; rows of attempts that were not made this time stay."""
    rows = (
        {(found[1], found[2]): found[0] for found in ROW.finditer(PAGE.read_text())}
        if PAGE.exists()
        else {}
    )
    variants = {one.name: one for one in load()}
    rows = {key: row for key, row in rows.items() if key[0] in variants}
    rows |= {(one.variant, str(one.version)): one.row for one in outcomes}
    listed = "\n".join(row for _, row in sorted(rows.items()))
    kinds = "\n".join(
        f"| {one.name} | {one.kind} | {one.expect} | {one.reason} |"
        for _, one in sorted(variants.items())
    )
    return (
        "# Installations\n\nWritten by `make installations`. Each variant is a few lines of SQL in"
        " `tests/installations/` on top of the baseline. *Passes*: all phases, rolled back, all"
        " phases again. *Refused*: by the precheck of phase 0, with nothing changed. The message"
        " says how far an attempt went.\n\n| variant | PostgreSQL | outcome | message | seconds"
        f" |\n|---|---|---|---|---|\n{listed}\n\n## What each stands for\n\n| variant | kind |"
        f" expected | why a refusal is right |\n|---|---|---|---|\n{kinds}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
