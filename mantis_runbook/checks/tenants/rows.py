"""Rows of both tenants, made for a proof: something to reach for, by the rightful work of a
user.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg

from mantis_runbook import settings
from mantis_runbook.checks.tenants.acting import become
from mantis_runbook.checks.tenants.attempt import Crossing, Pair, Tenant
from mantis_runbook.migrations.files import Step, read_script
from mantis_runbook.postgres.connection import message_of, scalar

__all__ = ["settle"]


def settle(pair: Pair, insertable: dict[str, bool]) -> Iterator[Crossing]:
    """Make a row of each tenant in every table that `sql/tenants/rows.sql` knows and that is there.

    `insertable` says of each table whether users may insert into it: then the row is made by a
    user, which has to succeed.
    """
    steps = [
        step
        for step in read_script(settings.sql() / "tenants" / "rows.sql").steps
        if step.name in insertable
    ]
    for tenant in (pair.here, pair.there):
        _introduce(pair, tenant, steps)
        for step in steps:
            yield _make(
                pair, tenant, step, "authenticated" if insertable[step.name] else pair.owner
            )
    become(pair.connection, pair.owner, pair.nobody)


def _introduce(pair: Pair, tenant: Tenant, steps: list[Step]) -> None:
    values = {"org": tenant.org, "person": tenant.user, "mark": tenant.mark} | {
        step.name: str(uuid4()) for step in steps
    }
    pair.connection.execute(
        "SELECT set_config('tenants.' || name, value, true) FROM unnest(%s::text[], %s::text[]) AS"
        " s (name, value)",
        (list(values), list(values.values())),
    )


def _make(pair: Pair, tenant: Tenant, step: Step, role: str) -> Crossing:
    attempt = "insert an own row"
    try:
        with pair.connection.transaction():
            become(pair.connection, role, tenant)
            for statement in step.statements:
                pair.connection.execute(statement.text)
            made = scalar(pair.connection, "SELECT current_setting(%s)", (f"tenants.{step.name}",))
    except psycopg.Error as error:
        return Crossing(step.name, attempt, f"as {role}: {message_of(error)}", "fail")
    tenant.rows[step.name] = made
    return Crossing(step.name, attempt, "1", "pass")
