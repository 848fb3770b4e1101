"""Attempts to see another tenant's rows through views and materialized views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from mantis_runbook.checks.tenants.acting import Acts
from mantis_runbook.checks.tenants.attempt import (
    SAMPLE,
    Crossing,
    Pair,
    count,
    is_nothing,
    is_unshown,
    judged,
    reached,
)

__all__ = ["on_view"]


def on_view(pair: Pair, view: dict[str, Any]) -> Iterator[Crossing]:
    """Read a view, as `sql/tenants/views.sql` tells it: by its org_id where it has one, by the
    other tenant's mark in any case.
    """
    for words, role, who in pair.strangers:
        yield _seen(pair, view, role, who, f"read as {words}", None)
    marked = sql.SQL("strpos(r::text, {}) > 0").format(pair.there.mark)
    yield _seen(pair, view, "authenticated", pair.here, "read the other tenant's mark", marked)
    if view["has_org"]:
        others = sql.SQL("r.org_id <> {}").format(pair.here.org)
        yield _seen(pair, view, "authenticated", pair.here, "read anybody else's rows", others)


def _seen(
    pair: Pair,
    view: dict[str, Any],
    role: str,
    who: Acts,
    attempt: str,
    condition: sql.Composed | None,
) -> Crossing:
    relation = sql.Identifier("public", view["name"])
    outcome = reached(pair.connection, role, who, count(relation, condition))
    if is_unshown(outcome):
        sample = sql.SQL("(SELECT * FROM {} LIMIT {})").format(relation, SAMPLE)
        among = reached(pair.connection, role, who, count(sample, condition))
        outcome = (
            among
            if among.isdigit() and among != "0"
            else f"{outcome}, and none was seen among the first {SAMPLE:,}"
        )
    return Crossing(
        view["name"], attempt, outcome, judged(outcome, lambda found: is_nothing(found, who))
    )
