"""What a migration would make, read from its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.created_objects import Planned, planned


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            (
                "CREATE TABLE t (id uuid PRIMARY KEY, n numeric(12,2)[], at timestamptz, CHECK (n >"
                " '{}'))"
            ),
            [("table", "t", (("id", "uuid"), ("n", "numeric(12,2)[]"), ("at", "timestamptz")))],
        ),
        ("CREATE TABLE IF NOT EXISTS public.t (i integer)", [("table", "t", (("i", "int4"),))]),
        ("CREATE TABLE p PARTITION OF t FOR VALUES FROM (1) TO (2)", [("table", "p", ())]),
        ("CREATE TABLE t AS SELECT 1 AS a", [("table", "t", ())]),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1 AS a", [("table", "m", ())]),
        ("CREATE VIEW v AS SELECT 1 AS a", [("view", "v", ())]),
        ("CREATE OR REPLACE VIEW v AS SELECT 1 AS a", []),
        ("CREATE SEQUENCE s", [("sequence", "s", ())]),
        ("CREATE TYPE e AS ENUM ('a', 'it''s')", [("enum", "e", (("a", ""), ("it's", "")))]),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", [("index", "i", (("t", ""),))]),
        (
            (
                "CREATE FUNCTION f(a integer, OUT b text, c text DEFAULT '') LANGUAGE sql AS"
                " 'SELECT 1'"
            ),
            [("function", "f", (("int4", ""), ("text", "")))],
        ),
        ("CREATE OR REPLACE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'", []),
        (
            "ALTER TABLE t ADD COLUMN c currency_code, ADD CHECK (c <> 'USD')",
            [("column", "t", (("c", "currency_code"),))],
        ),
        ("INSERT INTO t VALUES (1)", []),
    ],
)
def test_what_a_statement_makes(
    tmp_path: Path, statement: str, expected: list[tuple[str, str, tuple]]
) -> None:
    for role in ("", "_rollback", "_validate"):
        (tmp_path / f"001_one{role}.sql").write_text(
            f"-- Migration 001: One\n-- phase: 1\n-- step: only\n{statement};\n"
        )
    (migration,) = migration_files.load(tmp_path)
    assert planned(migration) == tuple(Planned("001", *one) for one in expected)
