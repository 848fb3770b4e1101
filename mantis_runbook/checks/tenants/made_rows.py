"""Rows for tables that nobody told us of: made from types, defaults and references, where the table
lets that be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from mantis_runbook.checks.tenants.acting import become
from mantis_runbook.checks.tenants.attempt import Pair, Tenant, count, reached
from mantis_runbook.checks.tenants.tables import Table
from mantis_runbook.postgres.connection import query, rows

__all__ = ["furnish"]

#: A value for a column that needs one, by the category of its type.
SAMPLES = {"N": "1", "B": "true", "D": "2025-08-01", "A": "{}", "T": "1 day", "I": "127.0.0.1"}

#: Tables whose key is a user's.
PEOPLE = ("profile", "users", "users_extended")


def furnish(pair: Pair, table: Table) -> None:
    """Make a row of each tenant that has none in a table with `org_id`, as its owner; where that
    fails it stays empty.
    """
    if table.owner_column != "org_id":
        return
    for tenant in (pair.here, pair.there):
        condition = sql.SQL("r.org_id = {}").format(tenant.org)
        if reached(pair.connection, pair.owner, tenant, count(table.relation, condition)) == "0":
            _make(pair, table, tenant)


def _make(pair: Pair, table: Table, tenant: Tenant) -> None:
    columns = rows(
        pair.connection,
        query("tenants/columns"),
        {"table": table.relation.as_string(pair.connection)},
    )
    values = {one["name"]: value for one in columns if (value := _value(one, tenant)) is not None}
    if any(one["is_needed"] and one["name"] not in values for one in columns):
        return
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        table.relation,
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Literal, values.values())),
    )
    try:
        with pair.connection.transaction():
            become(pair.connection, pair.owner, tenant)
            pair.connection.execute(statement, prepare=False)
    except psycopg.Error:
        # A rule of the table's own refused the row: there is nothing to reach for, and the proof
        # will say so.
        return
    if "id" in values:
        tenant.rows[table.name] = values["id"]


def _value(column: Mapping[str, Any], tenant: Tenant) -> str | None:
    """What goes into a column; None where nothing has to, or nothing can be known."""
    name, kind = column["name"], column["kind"]
    if name == "org_id":
        return tenant.org
    if name == "id" and column["type_name"] == "uuid" and column["parent"] is None:
        return str(uuid4())
    if column["parent"] in PEOPLE:
        return tenant.user if column["is_needed"] else None
    if column["parent"] is not None:
        return tenant.rows.get(column["parent"]) if column["is_needed"] else None
    if kind == "S" and column["type_name"] in ("text", "varchar") and "(" not in column["type"]:
        return tenant.mark
    if not column["is_needed"]:
        return None
    if column["type_name"] == "uuid":
        return str(uuid4())
    if column["type_name"] in ("json", "jsonb"):
        return "{}"
    return column["label"] or ("apart" if kind == "S" else SAMPLES.get(kind))
