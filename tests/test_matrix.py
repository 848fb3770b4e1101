"""A sample of the matrix of installations; all of it is `make installations`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matrix
import psycopg
import pytest
import variants
from conftest import chosen
from matrix import Outcome
from variants import Variant

from mantis_runbook.postgres import programs
from mantis_runbook.postgres.server import Server

KNOWN = {one.name: one for one in variants.load()}
NEWEST = next(iter(chosen()))


@pytest.fixture(scope="module")
def matrix_server() -> Iterator[Server]:
    with matrix.prepared(NEWEST) as server:
        yield server


def changed(name: str, text: str, **declared: str) -> Variant:
    """A variant with more done to it, and another declaration."""
    return replace(KNOWN[name], text=f"{KNOWN[name].text};\n{text}", **declared)


def test_there_are_enough_variants_and_each_says_what_it_stands_for() -> None:
    assert len(KNOWN) >= 24
    assert [
        one.name for one in KNOWN.values() if not one.kind or not one.text.strip().splitlines()
    ] == []
    assert len({one.kind for one in KNOWN.values()}) == len(KNOWN)


def test_the_page_keeps_rows_of_attempts_that_were_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "installations.md"
    monkeypatch.setattr(matrix, "PAGE", page)
    first = [
        Outcome("read_only", 15, "refused", "read-only | by settings", 1.0, is_expected=True),
        Outcome("no_tenant", 18, "FAILS", "<phase 1>", 2.0, is_expected=False),
    ]
    page.write_text(matrix.page(first))
    page.write_text(matrix.page([Outcome("no_tenant", 18, "passes", "", 90.0, is_expected=True)]))
    rows = re.findall(r"(?m)^\| (?:read_only|no_tenant) \| 1\d .*$", page.read_text())
    assert rows == [
        "| no_tenant | 18 | passes |  | 90 |",
        "| read_only | 15 | refused | read-only \\| by settings | 1 |",
    ]


def test_a_refusal_that_leaves_something_behind_is_a_failure(
    matrix_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = changed(
        "as_the_baseline",
        "ALTER TABLE widget DROP COLUMN position",
        gate="",
        expect="refused",
        names="position",
    )
    refused = matrix.attempt(matrix_server, variant)
    assert (refused.outcome, refused.is_expected) == ("refused", True)

    climb = matrix._climb

    def leaving(target: str, given: dict[str, str], numbers: str, which: str) -> None:
        parameters = matrix_server.parameters | {"dbname": f"matrix_{variant.name}"}
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute("CREATE TABLE left_behind (id integer)")
        climb(target, given, numbers, which)

    monkeypatch.setattr(matrix, "_climb", leaving)
    left = matrix.attempt(matrix_server, variant)
    assert (left.outcome, left.is_expected) == ("FAILS", False)
    assert "pg_class" in left.message


def test_a_failure_after_phase_0_is_shown_with_its_phase_and_its_message(
    matrix_server: Server,
) -> None:
    text = (
        "CREATE FUNCTION no_more() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS"
        " (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '%user_2fa%')"
        " THEN RAISE 'no more tables, please'; END IF; END $$; CREATE EVENT TRIGGER no_more ON"
        " ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION no_more()"
    )
    failed = matrix.attempt(matrix_server, changed("as_the_baseline", text, gate=""), numbers="0-1")
    assert (failed.outcome, failed.is_expected) == ("FAILS", False)
    assert "phase 1" in failed.message
    assert "no more tables, please" in failed.message


@pytest.mark.parametrize("name", ["read_only", "sql_ascii", "half_applied", "later_mantisnxt"])
def test_a_variant_that_is_to_be_refused_is_refused_in_phase_0(
    matrix_server: Server, name: str
) -> None:
    outcome = matrix.attempt(matrix_server, KNOWN[name])
    assert outcome.is_expected, outcome.line


def test_a_role_without_superuser_migrates_all_and_goes_back(server_programs: Path) -> None:
    """The role of `sql/roles/`, on each version; its backups are proven on another server."""
    with matrix.prepared(programs.version(server_programs / "postgres")) as server:
        outcome = matrix.attempt(server, KNOWN["least_privilege_forced"], extent="back")
    assert outcome.is_expected, outcome.line
