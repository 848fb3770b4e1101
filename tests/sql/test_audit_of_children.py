"""Whoever writes a row of a new table, audit_log says whose it is: by the row, by its parent, or by
what was said before.
"""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from advanced import migrated, one

from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

#: Tables without org_id → parent, its key in the child, and the other columns of a row of one.
CHILDREN = {
    "customer_contact": ("customer", "customer_id", {"first_name": "'A'", "last_name": "'B'"}),
    "product_price": (
        "product",
        "product_id",
        {"price_list_id": "{price_list}", "unit_price": "1"},
    ),
    "sales_quote_item": (
        "sales_quote",
        "quote_id",
        {"product_id": "{product}", "quantity": "1", "unit_price": "1"},
    ),
    "sales_order_item": (
        "sales_order",
        "order_id",
        {"product_id": "{product}", "quantity": "1", "unit_price": "1"},
    ),
    "supplier_performance": (
        "supplier",
        "supplier_id",
        {"evaluation_period_start": "'2025-01-01'", "evaluation_period_end": "'2025-02-01'"},
    ),
    "invoice_item": (
        "invoice",
        "invoice_id",
        {"description": "'x'", "quantity": "1", "unit_price": "1"},
    ),
    "journal_entry_line": (
        "journal_entry",
        "journal_entry_id",
        {"account_id": "{account}", "debit_amount": "1", "line_number": "1"},
    ),
    "document_permission": (
        "document",
        "document_id",
        {"role": "'admin'", "permission_type": "'read'", "granted_by": "{user}"},
    ),
}

PARENTS = {
    "customer": "(org_id, name) VALUES ({org}, 'Audited')",
    "supplier": "(org_id, name) VALUES ({org}, 'Audited')",
    "product": "(org_id, name, sku, base_price) VALUES ({org}, 'Audited', 'AUDITED', 1)",
    "price_list": "(org_id, name, valid_from) VALUES ({org}, 'Audited', '2025-01-01')",
    "sales_quote": (
        "(org_id, customer_id, quote_number, title, created_by) VALUES ({org}, {customer},"
        " 'AUDITED', 'x', {user})"
    ),
    "sales_order": (
        "(org_id, customer_id, order_number, created_by) VALUES ({org}, {customer}, 'AUDITED',"
        " {user})"
    ),
    "invoice": (
        "(org_id, customer_id, invoice_number, due_date, created_by) VALUES ({org}, {customer},"
        " 'AUDITED', '2099-01-01', {user})"
    ),
    "account": (
        "(org_id, code, name, account_type, normal_balance) VALUES ({org}, 'AUDITED', 'x', 'asset',"
        " 'debit')"
    ),
    "journal_entry": (
        "(org_id, entry_number, description, created_by) VALUES ({org}, 'AUDITED', 'x', {user})"
    ),
    "document": (
        "(org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path,"
        " uploaded_by) VALUES ({org}, 'x', 'x', 1, 'text/plain', 'h', 'p', {user})"
    ),
}
ENTRIES = (
    "SELECT action::text, org_id FROM audit_log WHERE table_name = %s AND record_id = %s ORDER BY"
    " timestamp, action::text"
)


def without_organisation(connection: Connection) -> set[str]:
    """The audited tables of ours that have no org_id, and whose rows are no user's."""
    found = connection.execute(
        "SELECT tgrelid::regclass::text FROM pg_trigger AS t WHERE tgfoid ="
        " 'record_audit()'::regprocedure AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid ="
        " tgrelid AND attname = 'org_id')"
    )
    return {row[0] for row in found} - {"oauth_provider", "user_session", "user_2fa"}


@pytest.mark.parametrize("claim", ["none", "a user of another organisation"])
def test_a_row_of_a_child_is_recorded_for_its_parents_organisation(
    server: Server, baseline_template: str, claim: str
) -> None:
    with migrated(server, baseline_template, "009") as connection:
        assert without_organisation(connection) == set(CHILDREN)
        org, user = connection.execute(
            "SELECT org_id, id FROM profile WHERE org_id IN (SELECT org_id FROM customer) LIMIT 1"
        ).fetchone()
        other = one(connection, "SELECT id FROM profile WHERE org_id <> %s LIMIT 1", (org,))
        names = {"org": f"'{org}'", "user": f"'{user}'"}
        for setting in ("request.jwt.claim.sub", "app.current_user_id"):
            connection.execute(
                "SELECT set_config(%s, %s, false)", (setting, "" if claim == "none" else str(other))
            )
        connection.execute("SET ROLE service_role")
        for parent, values in PARENTS.items():
            made = one(connection, f"INSERT INTO {parent} {values.format(**names)} RETURNING id")
            names[parent] = f"'{made}'"
        for table, (parent, link, others) in CHILDREN.items():
            columns = {link: names[parent]} | {
                name: value.format(**names) for name, value in others.items()
            }
            child = one(
                connection,
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"
                " RETURNING id",
            )
            connection.execute(f"UPDATE {table} SET {link} = {link} WHERE id = %s", (child,))
            connection.execute(f"DELETE FROM {table} WHERE id = %s", (child,))
            assert recorded(connection, table, child) == [
                ("INSERT", org),
                ("UPDATE", org),
                ("DELETE", org),
            ], table


def recorded(connection: Connection, table: str, child: UUID) -> list[tuple[str, UUID]]:
    connection.execute("RESET ROLE")
    found = connection.execute(ENTRIES, (table, child)).fetchall()
    connection.execute("SET ROLE service_role")
    return found


def test_what_goes_with_its_parent_is_recorded_for_the_same_organisation(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "009") as connection:
        org = one(connection, "SELECT org_id FROM customer LIMIT 1")
        connection.execute("SET ROLE service_role")
        customer = one(
            connection,
            "INSERT INTO customer (org_id, name) VALUES (%s, 'Gone') RETURNING id",
            (org,),
        )
        contact = one(
            connection,
            "INSERT INTO customer_contact (customer_id, first_name, last_name) VALUES (%s, 'A',"
            " 'B') RETURNING id",
            (customer,),
        )
        connection.execute("DELETE FROM customer WHERE id = %s", (customer,))
        assert recorded(connection, "customer_contact", contact) == [
            ("INSERT", org),
            ("DELETE", org),
        ]


def test_what_goes_with_its_organisation_names_none(server: Server, baseline_template: str) -> None:
    """audit_log refers to organisations: deleting one must not fail on the very rows that record
    it.
    """
    with migrated(server, baseline_template, "009") as connection:
        founded = one(
            connection,
            "INSERT INTO organization (name, slug) VALUES ('Gone', %s) RETURNING id",
            (f"gone-{uuid4().hex}",),
        )
        customer = one(
            connection,
            "INSERT INTO customer (org_id, name) VALUES (%s, 'Gone') RETURNING id",
            (founded,),
        )
        contact = one(
            connection,
            "INSERT INTO customer_contact (customer_id, first_name, last_name) VALUES (%s, 'A',"
            " 'B') RETURNING id",
            (customer,),
        )
        connection.execute("DELETE FROM organization WHERE id = %s", (founded,))
        assert (
            one(
                connection,
                "SELECT count(*) FROM audit_log WHERE record_id = %s AND org_id IS NOT NULL",
                (contact,),
            )
            == 0
        )
        assert (
            one(connection, "SELECT count(*) FROM audit_log WHERE record_id = %s", (contact,)) == 2
        )
