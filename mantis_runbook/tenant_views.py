"""Attempts to see another tenant's rows through views and materialized views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from mantis_runbook.acting import NOBODY
from mantis_runbook.crossing import ALLOWED, Crossing, Pair, count, reached

__all__ = ["on_view"]


def on_view(pair: Pair, view: dict[str, Any]) -> Iterator[Crossing]:
    """Read a view, as `sql/tenants/views.sql` tells it: by its org_id where it has one, by the other tenant's mark in any case."""
    relation = sql.Identifier("public", view["name"])
    marked = sql.SQL("strpos(r::text, {}) > 0").format(pair.there.mark)
    yield _seen(pair, view, "anon", "", "read as nobody", count(relation))
    yield _seen(pair, view, "authenticated", NOBODY, "read as a user of no organisation", count(relation))
    yield _seen(pair, view, "authenticated", pair.here.user, "read the other tenant's mark", count(relation, marked))
    if view["has_org"]:
        others = sql.SQL("r.org_id <> {}").format(pair.here.org)
        yield _seen(pair, view, "authenticated", pair.here.user, "read anybody else's rows", count(relation, others))


def _seen(pair: Pair, view: dict[str, Any], role: str, user: str, attempt: str, statement: sql.Composed) -> Crossing:
    found = reached(pair.connection, role, user, statement)
    return Crossing(view["name"], attempt, found, "pass" if found in ALLOWED else "fail")
