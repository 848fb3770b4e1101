"""Chains of AND and OR read alike before a dump and after its restore."""

from __future__ import annotations

import pytest

from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.expressions import flattened


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("CHECK (((a AND b) AND c))", "CHECK ((a AND b AND c))"),
        ("CHECK ((((a >= 0) AND (a <= 9)) AND ((b >= 0) AND (b <= 9))))",
         "CHECK (((a >= 0) AND (a <= 9) AND ((b >= 0) AND (b <= 9))))"),
        ("(((a OR b) OR c) OR d)", "(a OR b OR c OR d)"),
        ("((a OR b) AND c)", "((a OR b) AND c)"),
        ("(c AND (a AND b))", "(c AND (a AND b))"),
        ("((x = ') AND (') AND y)", "((x = ') AND (') AND y)"),
        ("unbalanced ((a AND b) AND c", "unbalanced ((a AND b) AND c"),
        ("no chain at all", "no chain at all"),
    ],
)  # fmt: skip
def test_a_chain_that_begins_with_a_chain_is_one_chain(before, after):
    assert flattened(before) == after
    assert flattened(after) == after


def test_a_catalogue_reads_the_same_after_its_own_definitions_were_read_once_more(baseline):
    baseline.execute(
        "CREATE TABLE scores (a int, b int, CHECK (a BETWEEN 0 AND 9 AND b BETWEEN 0 AND 9 AND (a >"
        " 1 OR b > 1 OR a < 0)))"
    )
    before = catalog.snapshot(baseline)["constraints"]["public.scores.scores_check"]
    definition = baseline.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'scores_check'"
    ).fetchone()[0]
    baseline.execute("ALTER TABLE scores DROP CONSTRAINT scores_check")
    baseline.execute(f"ALTER TABLE scores ADD CONSTRAINT scores_check {definition}")
    assert catalog.snapshot(baseline)["constraints"]["public.scores.scores_check"] == before
