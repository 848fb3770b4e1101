"""The baseline: the MantisNXT database before phase 1, its rules at work, and the data that is
planted in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from mantis_runbook import sandbox, settings
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

DATA = Path(__file__).parent.parent / "data"

Load = Callable[..., Connection]

PARTITIONED = {
    "ai_message": "timestamp",
    "customer_interaction": "timestamp",
    "pipeline_execution": "started_at",
    "system_metric": "timestamp",
}

AUDITED = {
    "ai_conversation", "ai_dataset", "ai_prompt_template", "alert_rule", "automation_pipeline",
    "customer", "dashboard", "data_import", "integration_connector", "inventory_item",
    "purchase_order", "purchase_order_item", "supplier", "support_ticket", "ticket_comment",
    "widget",
}  # fmt: skip

VIEWS = {
    "v_ai_workspace_stats", "v_customer_ops_overview", "v_inventory_alerts",
    "v_organization_overview", "v_recent_activity", "v_supply_chain_overview", "v_user_profile",
}  # fmt: skip

TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    ORDER BY relname
"""

COLUMNS = """
    SELECT c.relname,
           a.attname,
           replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz'),
           CASE WHEN a.attnotnull THEN 'not null' ELSE 'null' END
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND NOT c.relispartition
      AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""

REFERENCES = """
    SELECT child.relname, a.attname,
           CASE WHEN parent.relname LIKE 'users%' THEN 'user' ELSE parent.relname END
    FROM pg_constraint AS fk
    JOIN pg_class AS child ON child.oid = fk.conrelid
    JOIN pg_class AS parent ON parent.oid = fk.confrelid
    JOIN pg_attribute AS a ON a.attrelid = fk.conrelid AND a.attnum = fk.conkey[1]
    WHERE fk.contype = 'f' AND fk.conparentid = 0 AND fk.convalidated
      AND fk.connamespace = 'public'::regnamespace
"""

UNINDEXED = """
    SELECT fk.conrelid::regclass || '.' || a.attname
    FROM pg_constraint AS fk
    JOIN pg_attribute AS a ON a.attrelid = fk.conrelid AND a.attnum = fk.conkey[1]
    WHERE fk.contype = 'f' AND fk.conparentid = 0 AND fk.connamespace = 'public'::regnamespace
      AND NOT EXISTS (
          SELECT FROM pg_index AS i
          WHERE i.indrelid = fk.conrelid AND i.indkey[0] = fk.conkey[1] AND i.indpred IS NULL
      )
"""

CUSTOMER = (
    "INSERT INTO customer (org_id, name) SELECT org_id, 'Ada' FROM profile WHERE id = %s RETURNING"
    " id, org_id"
)

#: Blemish: how many rows, and the rows.
PLANTED = {
    "users without a profile": (
        6,
        "SELECT FROM auth.users AS u WHERE NOT EXISTS (SELECT FROM profile AS p WHERE p.id = u.id)",
    ),
    "their dashboards": (
        6,
        (
            "SELECT FROM dashboard AS d WHERE NOT EXISTS (SELECT FROM profile AS p WHERE p.id ="
            " d.created_by)"
        ),
    ),
    "their conversations": (
        6,
        (
            "SELECT FROM ai_conversation AS c WHERE NOT EXISTS (SELECT FROM profile AS p WHERE p.id"
            " = c.user_id)"
        ),
    ),
    "notifications of missing tickets": (
        8,
        (
            "SELECT FROM notification AS n WHERE n.metadata ? 'ticket_id' AND NOT EXISTS (SELECT"
            " FROM support_ticket AS t WHERE t.id = (n.metadata ->> 'ticket_id')::uuid)"
        ),
    ),
    "duplicate addresses": (
        16,
        (
            "SELECT FROM customer WHERE email IS NOT NULL GROUP BY org_id, lower(email) HAVING"
            " count(*) > 1"
        ),
    ),
    "duplicate addresses, letter for letter": (
        8,
        "SELECT FROM customer WHERE email IS NOT NULL GROUP BY org_id, email HAVING count(*) > 1",
    ),
    "organisations without a currency": (
        6,
        "SELECT FROM organization WHERE settings ->> 'currency' IS NULL",
    ),
}

NEW_ORDER = """
    INSERT INTO purchase_order (org_id, supplier_id, po_number)
    SELECT org_id, id, 'PO-NEW' FROM supplier ORDER BY id LIMIT 1
    RETURNING id
"""


# ------------------------------------------------------------------ finding one's way


def column(connection: Connection, query: str, *values: object) -> list[Any]:
    rows = connection.execute(query, values).fetchall()  # type: ignore[arg-type]
    return [row[0] for row in rows]


def value(connection: Connection, query: str, *values: object) -> Any:
    row = connection.execute(query, values).fetchone()  # type: ignore[arg-type]
    assert row is not None, f"no row: {query}"
    return row[0]


def catalogue(name: str, separator: str) -> list[list[str]]:
    lines = (DATA / name).read_text().splitlines()
    return [
        [part.strip() for part in line.split(separator)]
        for line in lines
        if not line.startswith("#")
    ]


def insert(connection: Connection, table: str, **values: object) -> Any:
    """Insert one row; its id."""
    query = SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING id").format(
        Identifier(table),
        SQL(", ").join(map(Identifier, values)),
        SQL(", ").join([SQL("%s")] * len(values)),
    )
    row = connection.execute(query, list(values.values())).fetchone()
    assert row is not None
    return row[0]


def two_users(connection: Connection) -> list[Any]:
    """A user of the largest organisation, and one of the second."""
    query = """
        SELECT id FROM (
            SELECT DISTINCT ON (p.org_id) p.id, count(*) OVER (PARTITION BY p.org_id) AS people
            FROM profile AS p ORDER BY p.org_id, p.id
        ) AS someone
        ORDER BY people DESC, id LIMIT 2
    """
    return column(connection, query)


@contextmanager
def acting_as(
    connection: Connection,
    user: object,
    role: str = "authenticated",
    setting: str = "request.jwt.claim.sub",
) -> Iterator[None]:
    """Be a user of the application; nothing that happens remains."""
    with connection.transaction(force_rollback=True):
        connection.execute(
            "SELECT set_config(%s, %s, true)", [setting, "" if user is None else str(user)]
        )
        connection.execute(SQL("SET LOCAL ROLE {}").format(Identifier(role)))
        yield


@pytest.fixture(scope="module")
def one_database(server: Server, baseline_template: str) -> Iterator[Connection]:
    name = "test_of_the_baseline"
    with psycopg.connect(
        **sandbox.clone(server, baseline_template, name), autocommit=True
    ) as connection:
        yield connection
    sandbox.drop(server, name)


@pytest.fixture
def baseline(one_database: Connection) -> Iterator[Connection]:
    """The baseline inside a transaction that is rolled back: a clone for each test would take most
    of the time.
    """
    with one_database.transaction(force_rollback=True):
        yield one_database


@pytest.fixture
def load(server: Server) -> Iterator[Load]:
    """Loads further baselines, to compare with."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def load(*, scale: float = 0.001, seed: int = 1, **variant: Any) -> Connection:
            name = f"another_baseline_{next(numbers)}"
            parameters = sandbox.clone(server, "template0", name)
            stack.callback(sandbox.drop, server, name)
            connection = stack.enter_context(psycopg.connect(**parameters, autocommit=True))
            sandbox.load_baseline(connection, scale=scale, seed=seed, **variant)
            return connection

        yield load


def content(connection: Connection) -> dict[str, tuple[int, int]]:
    """Rows and a sum of hashes of each table."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL TimeZone = 'UTC'")
        found = {}
        for table in [*map(Identifier, column(connection, TABLES)), Identifier("auth", "users")]:
            query = SQL(
                "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {} AS t"
            ).format(table)
            found[table.as_string()] = connection.execute(query).fetchone()
    return found  # type: ignore[return-value]


# ------------------------------------------------------------------ the catalogue


def test_there_are_28_tables_16_partitions_and_7_views(baseline: Connection) -> None:
    tables = column(baseline, TABLES)
    partitions = column(
        baseline, "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"
    )
    views = column(baseline, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")

    assert len(tables) == 28
    assert tables == sorted({line[0] for line in catalogue("baseline_columns.txt", "|")})
    assert sorted(partitions) == sorted(
        f"{table}_{quarter}"
        for table in PARTITIONED
        for quarter in ("2024_q4", "2025_q1", "2025_q2", "2025_q3")
    )
    assert set(views) == VIEWS


@pytest.mark.parametrize(
    ("what", "expected", "query"),
    [
        ("indexes", 222, "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'"),
        (
            "constraints",
            477,
            (
                "SELECT count(*) FROM information_schema.table_constraints WHERE table_schema ="
                " 'public'"
            ),
        ),
        ("policies", 28, "SELECT count(*) FROM pg_policies WHERE schemaname = 'public'"),
        ("triggers", 56, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"),
    ],
)
def test_its_size_is_that_of_the_real_system(
    baseline: Connection, what: str, expected: int, query: str
) -> None:
    assert value(baseline, query) == expected, what


def test_every_enum_has_its_labels_in_their_order(baseline: Connection) -> None:
    labels = "string_agg(enumlabel, ', ' ORDER BY enumsortorder)"
    query = f"SELECT enumtypid::regtype::text, {labels} FROM pg_enum GROUP BY 1"
    assert dict(baseline.execute(query).fetchall()) == dict(catalogue("baseline_enums.txt", ":"))


def test_every_column_has_its_place_type_and_nullability(baseline: Connection) -> None:
    expected = [tuple(line[:4]) for line in catalogue("baseline_columns.txt", "|")]
    assert baseline.execute(COLUMNS).fetchall() == expected


def test_every_reference_is_a_validated_foreign_key(baseline: Connection) -> None:
    expected = {
        (table, name, to)
        for table, name, *_, to in catalogue("baseline_columns.txt", "|")
        if to != "-"
    }
    assert set(baseline.execute(REFERENCES).fetchall()) == expected


def test_only_the_amount_of_an_order_line_is_generated(baseline: Connection) -> None:
    query = "SELECT attrelid::regclass || '.' || attname FROM pg_attribute WHERE attgenerated = 's'"
    assert column(baseline, query) == ["purchase_order_item.total_price"]


@pytest.mark.parametrize("table", PARTITIONED)
def test_partitions_cover_a_year_without_gap_or_default(baseline: Connection, table: str) -> None:
    baseline.execute("SET LOCAL TimeZone = 'UTC'")
    bounds = column(
        baseline,
        "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i JOIN pg_class AS c ON"
        " c.oid = i.inhrelid WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
        table,
    )
    assert value(baseline, "SELECT pg_get_partkeydef(to_regclass(%s))", table) in (
        f"RANGE ({PARTITIONED[table]})",
        f'RANGE ("{PARTITIONED[table]}")',
    )
    edges = ["2024-10-01", "2025-01-01", "2025-04-01", "2025-07-01", "2025-10-01"]
    assert [bound.replace(" 00:00:00+00", "") for bound in bounds] == [
        f"FOR VALUES FROM ('{start}') TO ('{end}')" for start, end in itertools.pairwise(edges)
    ]


def test_every_table_and_all_money_is_commented(baseline: Connection) -> None:
    silent = [
        t
        for t in column(baseline, TABLES)
        if not value(baseline, "SELECT obj_description(%s::regclass)", t)
    ]
    money = column(
        baseline,
        "SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN pg_class AS c ON c.oid"
        " = attrelid WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND atttypid"
        " = 'numeric'::regtype AND NOT c.relispartition AND col_description(attrelid, attnum) !~"
        " '^Money'",
    )
    assert (silent, money) == ([], [])


# ------------------------------------------------------------------ rules


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("UPDATE organization SET slug = 'Upper'", "organization_slug_is_lower_case_words"),
        ("UPDATE profile SET display_name = ''", "profile_display_name_length"),
        ("UPDATE supplier SET risk_score = 101", "supplier_risk_score_is_a_percentage"),
        (
            "UPDATE supplier SET contact_email = 'no at sign'",
            "supplier_contact_email_is_an_address",
        ),
        (
            "UPDATE inventory_item SET quantity_on_hand = 0, quantity_reserved = 1",
            "inventory_item_reserved_is_on_hand",
        ),
        ("UPDATE inventory_item SET sku = 'same'", "inventory_item_sku_is_unique_in_organization"),
        (
            "UPDATE purchase_order SET approved_at = now(), approved_by = NULL",
            "approval_has_person_and_time",
        ),
        (
            "UPDATE purchase_order SET actual_delivery_date = '1900-01-01'",
            "purchase_order_delivered_after_ordered",
        ),
        (
            "UPDATE purchase_order_item SET quantity_received = quantity + 1",
            "purchase_order_item_received_was_ordered",
        ),
        ("UPDATE customer SET lifetime_value = -0.01", "customer_lifetime_value_not_negative"),
        (
            "UPDATE customer SET acquisition_date = '9999-12-31'",
            "customer_interaction_after_acquisition",
        ),
        (
            "UPDATE support_ticket SET resolved_at = '1899-01-01'",
            "support_ticket_resolved_after_creation",
        ),
        (
            "UPDATE automation_pipeline SET next_execution_at = '2000-01-01'",
            "next_execution_after_last",
        ),
        ("UPDATE integration_log SET level = 'loud'", "integration_log_level_is_known"),
        (
            "UPDATE dashboard_share SET shared_with = NULL, share_token = NULL",
            "names_a_person_or_a_token",
        ),
        (
            "UPDATE widget_data_cache SET expires_at = created_at",
            "widget_data_cache_expires_after_creation",
        ),
        (
            "UPDATE notification SET action_url = 'javascript:'",
            "notification_action_url_is_a_path_or_url",
        ),
        ("UPDATE audit_log SET table_name = 'No Table'", "audit_log_table_name_is_an_identifier"),
        (
            "UPDATE dashboard_favorite SET user_id = (SELECT min(id::text)::uuid FROM profile),"
            " dashboard_id = (SELECT min(id::text)::uuid FROM dashboard)",
            "dashboard_favorite_is_unique_per_user",
        ),
        ("UPDATE dashboard SET created_by = gen_random_uuid()", "dashboard_created_by_fkey"),
    ],
)
def test_a_rule_refuses_what_breaks_it(baseline: Connection, statement: str, refusal: str) -> None:
    with pytest.raises(psycopg.IntegrityError) as refused:
        baseline.execute(statement)  # type: ignore[arg-type]
    assert refusal in (refused.value.diag.constraint_name or "")


@pytest.mark.parametrize("table", PARTITIONED)
@pytest.mark.parametrize("moment", ["2024-09-30 23:59:59.999999+00", "2025-10-01 00:00:00+00"])
def test_a_row_outside_the_partitions_is_refused(
    baseline: Connection, table: str, moment: str
) -> None:
    query = SQL("UPDATE {} SET {} = %s, id = gen_random_uuid()").format(
        Identifier(table), Identifier(PARTITIONED[table])
    )
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition of relation"):
        baseline.execute(query, [moment])


# ------------------------------------------------------------------ triggers


def test_updated_at_and_audit_stand_where_the_application_expects_them(
    baseline: Connection,
) -> None:
    query = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = %s"
    with_updated_at = {
        line[0] for line in catalogue("baseline_columns.txt", "|") if line[1] == "updated_at"
    }
    assert set(column(baseline, query, "set_updated_at")) == with_updated_at
    assert set(column(baseline, query, "record_audit")) == AUDITED


def test_an_update_stamps_updated_at(baseline: Connection) -> None:
    query = (
        "UPDATE customer SET phone = '1' WHERE id = (SELECT id FROM customer LIMIT 1) RETURNING"
        " updated_at = now()"
    )
    assert value(baseline, query)


@pytest.mark.parametrize("table", sorted(AUDITED))
def test_a_change_is_written_into_the_audit_log_of_its_organisation(
    baseline: Connection, table: str
) -> None:
    some = value(baseline, f"SELECT id FROM {table} LIMIT 1")
    changed = value(
        baseline,
        f"UPDATE {table} SET created_at = created_at WHERE id = %s RETURNING id",
        some,
    )
    entries = baseline.execute(
        "SELECT action, record_id, old_data IS NOT NULL, new_data ->> 'id', org_id IS NOT NULL"
        " FROM audit_log WHERE timestamp = now() AND table_name = %s",
        [table],
    ).fetchall()
    assert entries == [("UPDATE", changed, True, str(changed), True)]


def test_the_audit_log_knows_who_it_was(baseline: Connection) -> None:
    user, _ = two_users(baseline)
    with acting_as(baseline, user):
        customer, organisation = baseline.execute(CUSTOMER, [user]).fetchone()  # type: ignore[misc]
        baseline.execute("DELETE FROM customer WHERE id = %s", [customer])
        entries = baseline.execute(
            "SELECT action, user_id, org_id FROM audit_log WHERE record_id = %s ORDER BY action",
            [customer],
        ).fetchall()
    assert entries == [("INSERT", user, organisation), ("DELETE", user, organisation)]


def test_the_audit_log_never_holds_credentials(baseline: Connection) -> None:
    baseline.execute("UPDATE integration_connector SET credentials_encrypted = 'ciphertext'")
    query = "SELECT old_data, new_data FROM audit_log WHERE table_name = 'integration_connector'"
    entries = baseline.execute(query).fetchall()
    assert entries
    assert not any("credentials_encrypted" in data for entry in entries for data in entry)


def test_an_organisation_takes_all_it_has_along_but_not_before_its_orders(
    baseline: Connection,
) -> None:
    organisation = value(
        baseline, "SELECT org_id FROM profile WHERE id = %s", two_users(baseline)[0]
    )
    with pytest.raises(psycopg.errors.ForeignKeyViolation), baseline.transaction():
        baseline.execute("DELETE FROM organization WHERE id = %s", [organisation])
    baseline.execute("DELETE FROM purchase_order WHERE org_id = %s", [organisation])
    baseline.execute("DELETE FROM organization WHERE id = %s", [organisation])
    assert value(baseline, "SELECT count(*) FROM customer WHERE org_id = %s", organisation) == 0
    assert (
        value(
            baseline,
            "SELECT count(*) FROM audit_log WHERE old_data ->> 'org_id' = %s",
            str(organisation),
        )
        > 0
    )


def test_a_conversation_counts_its_messages_and_tokens(baseline: Connection) -> None:
    user = two_users(baseline)[0]
    organisation = value(baseline, "SELECT org_id FROM profile WHERE id = %s", user)
    chat = insert(
        baseline, "ai_conversation", org_id=organisation, user_id=user, title="t", model="m"
    )
    message = {"conversation_id": chat, "role": "user", "content": "hello"}
    first = insert(
        baseline, "ai_message", **message, tokens_used=40, timestamp="2024-12-31 12:00+00"
    )
    insert(baseline, "ai_message", **message, tokens_used=None, timestamp="2025-06-01 12:00+00")

    totals = (
        "SELECT ROW(total_messages, total_tokens_used)::text FROM ai_conversation WHERE id = %s"
    )
    assert value(baseline, totals, chat) == "(2,40)"
    baseline.execute(
        "UPDATE ai_message SET tokens_used = 50, timestamp = '2025-09-01 12:00+00' WHERE id = %s",
        [first],
    )
    assert value(baseline, totals, chat) == "(2,50)"
    baseline.execute("DELETE FROM ai_message WHERE id = %s", [first])
    assert value(baseline, totals, chat) == "(1,0)"


def test_a_purchase_order_totals_its_lines(baseline: Connection) -> None:
    order = value(baseline, NEW_ORDER)
    item = value(baseline, "SELECT id FROM inventory_item LIMIT 1")
    line = insert(
        baseline,
        "purchase_order_item",
        purchase_order_id=order,
        inventory_item_id=item,
        quantity=3,
        unit_price="9.99",
    )
    insert(
        baseline,
        "purchase_order_item",
        purchase_order_id=order,
        inventory_item_id=item,
        quantity=1,
        unit_price=1,
    )

    total = "SELECT total_amount::text FROM purchase_order WHERE id = %s"
    assert value(baseline, total, order) == "30.97"
    baseline.execute("UPDATE purchase_order_item SET quantity = 2 WHERE id = %s", [line])
    assert value(baseline, total, order) == "20.98"
    baseline.execute("DELETE FROM purchase_order_item WHERE id = %s", [line])
    assert value(baseline, total, order) == "1.00"


def test_an_interaction_moves_the_last_interaction_forward_only(baseline: Connection) -> None:
    user = two_users(baseline)[0]
    customer, organisation = baseline.execute(CUSTOMER, [user]).fetchone()  # type: ignore[misc]
    baseline.execute(
        "UPDATE customer SET acquisition_date = '2025-02-01' WHERE id = %s", [customer]
    )
    seen = []
    for moment in ("2025-01-15 00:00+00", "2025-05-05 23:30+00", "2025-03-03 00:00+00"):
        insert(
            baseline, "customer_interaction", org_id=organisation, customer_id=customer,
            channel="email", type="inquiry", content="?", timestamp=moment,
        )  # fmt: skip
        seen.append(
            value(
                baseline, "SELECT last_interaction_date::text FROM customer WHERE id = %s", customer
            )
        )
    assert seen == [None, "2025-05-05", "2025-05-05"]


def test_a_pipeline_counts_its_runs_and_failures(baseline: Connection) -> None:
    user = two_users(baseline)[0]
    organisation = value(baseline, "SELECT org_id FROM profile WHERE id = %s", user)
    pipeline = insert(
        baseline,
        "automation_pipeline",
        org_id=organisation,
        name="p",
        trigger_type="manual",
        created_by=user,
        next_execution_at="2025-03-01 00:00+00",
    )
    counts = """
        SELECT ROW(execution_count, error_count, next_execution_at IS NOT NULL)::text
        FROM automation_pipeline WHERE id = %s
    """
    run = insert(
        baseline, "pipeline_execution", pipeline_id=pipeline, started_at="2025-02-01 00:00+00"
    )
    assert value(baseline, counts, pipeline) == "(1,0,t)"
    baseline.execute("UPDATE pipeline_execution SET status = 'failed' WHERE id = %s", [run])
    assert value(baseline, counts, pipeline) == "(1,1,t)"
    insert(baseline, "pipeline_execution", pipeline_id=pipeline, started_at="2025-04-01 00:00+00")
    assert value(baseline, counts, pipeline) == "(2,1,f)"
    baseline.execute("DELETE FROM pipeline_execution WHERE id = %s", [run])
    assert value(baseline, counts, pipeline) == "(1,0,f)"


def test_a_ticket_is_numbered_and_its_first_answer_noted(baseline: Connection) -> None:
    user = two_users(baseline)[0]
    customer, organisation = baseline.execute(CUSTOMER, [user]).fetchone()  # type: ignore[misc]
    ticket = value(
        baseline,
        "INSERT INTO support_ticket (org_id, customer_id, ticket_number, title, description)"
        " VALUES (%s, %s, '', 't', 'd') RETURNING id",
        organisation,
        customer,
    )
    assert value(
        baseline,
        "SELECT ticket_number ~ '^TKT-[0-9]{6,}$' FROM support_ticket WHERE id = %s",
        ticket,
    )

    answered = "SELECT first_response_at FROM support_ticket WHERE id = %s"
    insert(baseline, "ticket_comment", ticket_id=ticket, content="the customer again")
    insert(
        baseline,
        "ticket_comment",
        ticket_id=ticket,
        user_id=user,
        is_internal=True,
        content="who takes this?",
    )
    assert value(baseline, answered, ticket) is None
    baseline.execute(
        "UPDATE support_ticket SET created_at = '2025-01-01 00:00+00' WHERE id = %s", [ticket]
    )
    answer = {"ticket_id": ticket, "user_id": user, "content": "on it"}
    insert(baseline, "ticket_comment", **answer, created_at="2025-01-02 00:00+00")
    insert(baseline, "ticket_comment", **answer, created_at="2025-01-03 00:00+00")
    assert value(
        baseline,
        "SELECT first_response_at = '2025-01-02 00:00+00' FROM support_ticket WHERE id = %s",
        ticket,
    )


@pytest.mark.parametrize(
    "disagreement",
    [
        """SELECT FROM ai_conversation AS c
           LEFT JOIN (SELECT conversation_id, count(*) AS n, coalesce(sum(tokens_used), 0) AS tokens
                      FROM ai_message GROUP BY 1) AS m ON m.conversation_id = c.id
           WHERE (c.total_messages, c.total_tokens_used)
                 IS DISTINCT FROM (coalesce(m.n, 0), coalesce(m.tokens, 0))""",
        """SELECT FROM purchase_order AS o
           LEFT JOIN (SELECT purchase_order_id, sum(total_price) AS total
                      FROM purchase_order_item GROUP BY 1) AS l
                  ON l.purchase_order_id = o.id
           WHERE o.total_amount IS DISTINCT FROM coalesce(l.total, 0)""",
        """SELECT FROM automation_pipeline AS p
           LEFT JOIN (SELECT pipeline_id, count(*) AS n, max(started_at) AS last,
                             count(*) FILTER (WHERE status IN ('failed', 'timeout')) AS errors
                      FROM pipeline_execution GROUP BY 1) AS e ON e.pipeline_id = p.id
           WHERE (p.execution_count, p.error_count, p.last_execution_at)
                 IS DISTINCT FROM (coalesce(e.n, 0), coalesce(e.errors, 0), e.last)""",
        """SELECT FROM customer AS c JOIN customer_interaction AS i ON i.customer_id = c.id
           WHERE (i.timestamp AT TIME ZONE 'UTC')::date >= coalesce(c.acquisition_date, '-infinity')
             AND (i.timestamp AT TIME ZONE 'UTC')::date
                 > coalesce(c.last_interaction_date, '-infinity')""",
        """SELECT FROM support_ticket AS t
           LEFT JOIN (SELECT ticket_id, min(created_at) AS first FROM ticket_comment
                      WHERE user_id IS NOT NULL AND is_internal IS NOT TRUE GROUP BY 1) AS c
                  ON c.ticket_id = t.id
           WHERE t.first_response_at IS DISTINCT FROM c.first""",
    ],
    ids=["conversation", "purchase order", "pipeline", "customer", "ticket"],
)
def test_what_triggers_keep_agrees_with_the_rows_it_is_kept_from(
    baseline: Connection, disagreement: str
) -> None:
    assert value(baseline, f"SELECT count(*) FROM ({disagreement}) AS d") == 0


# ------------------------------------------------------------------ tenants


def test_every_table_has_row_security_and_a_policy_for_reading_and_writing(
    baseline: Connection,
) -> None:
    query = """
        SELECT c.relname FROM pg_class AS c
        JOIN pg_policy AS p ON p.polrelid = c.oid AND p.polqual IS NOT NULL
                           AND p.polwithcheck IS NOT NULL
        WHERE c.relrowsecurity ORDER BY 1
    """
    assert column(baseline, query) == column(baseline, TABLES)


def test_two_tenants_see_theirs_only_and_nobody_sees_nothing(baseline: Connection) -> None:
    one, other = two_users(baseline)
    for table in column(baseline, TABLES):
        query = f"SELECT count(*) FROM {table}"
        of_all = value(baseline, query)
        seen = []
        for user in (one, other, None):
            with acting_as(baseline, user):
                seen.append(value(baseline, query))
        assert seen[2] == 0, table
        assert seen[0] > 0, table
        assert seen[1] > 0, table
        assert seen[0] + seen[1] < of_all, table


@pytest.mark.parametrize(
    "table", ["customer", "audit_log", "support_ticket", "dashboard", "customer_interaction"]
)
def test_what_a_tenant_sees_is_all_its_own_and_nothing_else(
    baseline: Connection, table: str
) -> None:
    user = two_users(baseline)[0]
    own = value(baseline, "SELECT org_id FROM profile WHERE id = %s", user)
    expected = value(baseline, f"SELECT count(*) FROM {table} WHERE org_id = %s", own)
    with acting_as(baseline, user):
        query = f"SELECT org_id, count(*) FROM {table} GROUP BY 1"
        found = baseline.execute(query).fetchall()  # type: ignore[arg-type]
    assert found == [(own, expected)]


@pytest.mark.parametrize(
    ("child", "parent", "link"),
    [
        ("ai_message", "ai_conversation", "conversation_id"),
        ("pipeline_execution", "automation_pipeline", "pipeline_id"),
        ("purchase_order_item", "purchase_order", "purchase_order_id"),
        ("ticket_comment", "support_ticket", "ticket_id"),
        ("dashboard_favorite", "dashboard", "dashboard_id"),
        ("dashboard_share", "dashboard", "dashboard_id"),
        ("widget_data_cache", "widget", "widget_id"),
    ],
)
def test_a_child_belongs_to_its_parents_tenant(
    baseline: Connection, child: str, parent: str, link: str
) -> None:
    user = two_users(baseline)[0]
    query = f"""
        SELECT count(*) FROM {child} JOIN {parent} ON {parent}.id = {link}
        WHERE {parent}.org_id = (SELECT org_id FROM profile WHERE id = %s)
    """
    expected = value(baseline, query, user)
    with acting_as(baseline, user):
        assert value(baseline, f"SELECT count(*) FROM {child}") == expected > 0


def test_nobody_writes_into_another_tenant(baseline: Connection) -> None:
    one, other = two_users(baseline)
    theirs = value(baseline, "SELECT org_id FROM profile WHERE id = %s", other)
    order = value(baseline, "SELECT id FROM purchase_order WHERE org_id = %s LIMIT 1", theirs)
    item = value(baseline, "SELECT id FROM inventory_item WHERE org_id = %s LIMIT 1", theirs)
    for statement, values in [
        ("INSERT INTO customer (org_id, name) VALUES (%s, 'x')", [theirs]),
        ("UPDATE customer SET org_id = %s", [theirs]),
        ("UPDATE profile SET org_id = %s WHERE id = auth.uid()", [theirs]),
        (
            "INSERT INTO purchase_order_item (purchase_order_id, inventory_item_id, quantity,"
            " unit_price)"
            " VALUES (%s, %s, 1, 1)",
            [order, item],
        ),
    ]:
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"),
            acting_as(baseline, one),
        ):
            baseline.execute(statement, values)  # type: ignore[arg-type]
    with acting_as(baseline, one):
        assert baseline.execute("DELETE FROM customer WHERE org_id = %s", [theirs]).rowcount == 0


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("anon", "SELECT FROM customer"),
        ("anon", "SELECT FROM v_recent_activity"),
        ("anon", "SELECT get_org_metrics(gen_random_uuid())"),
        ("authenticated", "UPDATE audit_log SET new_data = NULL"),
        ("authenticated", "DELETE FROM audit_log"),
        ("authenticated", "SELECT FROM ai_message_2024_q4"),
        ("authenticated", "SELECT FROM auth.users"),
    ],
)
def test_a_role_may_not_do_more_than_it_should(
    baseline: Connection, role: str, statement: str
) -> None:
    user = two_users(baseline)[0]
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"),
        acting_as(baseline, user, role),
    ):
        baseline.execute(statement)  # type: ignore[arg-type]


def test_the_service_sees_every_tenant(baseline: Connection) -> None:
    of_all = value(baseline, "SELECT count(*) FROM customer")
    with acting_as(baseline, None, "service_role"):
        assert value(baseline, "SELECT count(*) FROM customer") == of_all


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_a_view_shows_a_tenant_its_own_rows_only(baseline: Connection, view: str) -> None:
    user = two_users(baseline)[0]
    own = value(baseline, "SELECT org_id FROM profile WHERE id = %s", user)
    expected = value(baseline, f"SELECT count(*) FROM {view} WHERE org_id = %s", own)
    with acting_as(baseline, user):
        assert value(baseline, f"SELECT count(*) FROM {view}") == expected > 0
        assert column(baseline, f"SELECT DISTINCT org_id FROM {view}") == [own]
    with acting_as(baseline, None):
        assert value(baseline, f"SELECT count(*) FROM {view}") == 0


def test_views_agree_with_the_tables(baseline: Connection) -> None:
    assert value(baseline, "SELECT sum(customers) FROM v_organization_overview") == value(
        baseline, "SELECT count(*) FROM customer"
    )
    assert value(baseline, "SELECT sum(interactions) FROM v_customer_ops_overview") == value(
        baseline, "SELECT count(*) FROM customer_interaction"
    )
    assert value(baseline, "SELECT sum(ordered_amount) FROM v_supply_chain_overview") == value(
        baseline, "SELECT sum(total_amount) FROM purchase_order"
    )
    assert value(baseline, "SELECT sum(messages) FROM v_ai_workspace_stats") == value(
        baseline, "SELECT count(*) FROM ai_message"
    )


# ------------------------------------------------------------------ functions of the application


def test_metrics_agree_with_the_tables(baseline: Connection) -> None:
    user = two_users(baseline)[0]
    own = value(baseline, "SELECT org_id FROM profile WHERE id = %s", user)
    metrics = dict(baseline.execute("SELECT * FROM get_org_metrics(%s)", [own]).fetchall())
    assert metrics["customers"] == value(
        baseline, "SELECT count(*) FROM customer WHERE org_id = %s", own
    )
    assert metrics["purchase_amount"] == value(
        baseline, "SELECT sum(total_amount) FROM purchase_order WHERE org_id = %s", own
    )
    with acting_as(baseline, user):
        assert (
            dict(baseline.execute("SELECT * FROM get_org_metrics(%s)", [own]).fetchall()) == metrics
        )


def test_a_tenant_learns_nothing_of_another_from_a_function(baseline: Connection) -> None:
    one, other = two_users(baseline)
    theirs = value(baseline, "SELECT org_id FROM profile WHERE id = %s", other)
    widget = value(baseline, "SELECT id FROM widget WHERE org_id = %s LIMIT 1", theirs)
    with acting_as(baseline, one):
        assert (
            value(baseline, "SELECT coalesce(sum(value), 0) FROM get_org_metrics(%s)", theirs) == 0
        )
        assert value(baseline, "SELECT count(*) FROM get_reorder_suggestions(%s)", theirs) == 0
        assert value(baseline, "SELECT get_widget_data(%s)", widget) is None


def test_search_finds_a_customer_by_name(baseline: Connection) -> None:
    baseline.execute(CUSTOMER, [two_users(baseline)[0]])
    own = value(baseline, "SELECT org_id FROM customer WHERE name = 'Ada'")
    found = baseline.execute(
        "SELECT entity_type, title FROM global_search(%s, 'ada')", [own]
    ).fetchall()
    assert found == [("customer", "Ada")]


def test_bulk_update_changes_the_tickets_a_tenant_may_change(baseline: Connection) -> None:
    user = two_users(baseline)[0]
    tickets = column(baseline, "SELECT id FROM support_ticket")
    own = value(
        baseline,
        "SELECT count(*) FROM support_ticket WHERE org_id = (SELECT org_id FROM profile WHERE id"
        " = %s)",
        user,
    )
    with acting_as(baseline, user):
        assert (
            value(baseline, "SELECT bulk_update_tickets(%s, new_status => 'closed')", tickets)
            == own
        )
        query = (
            "SELECT bool_and(status = 'closed' AND closed_at >= resolved_at) FROM support_ticket"
        )
        assert value(baseline, query)


def test_reorder_suggestions_are_below_their_reorder_point(baseline: Connection) -> None:
    own = value(baseline, "SELECT org_id FROM profile WHERE id = %s", two_users(baseline)[0])
    with baseline.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT * FROM get_reorder_suggestions(%s)", [own]).fetchall()
    assert found
    assert all(
        row["available"] <= row["reorder_point"] and row["suggested_quantity"] > 0 for row in found
    )


def test_a_widget_shows_its_cached_result_or_the_figures_of_its_source(
    baseline: Connection,
) -> None:
    cached, data = baseline.execute(
        "SELECT widget_id, cached_data FROM widget_data_cache WHERE expires_at > '9999-01-01'"
    ).fetchone()  # type: ignore[misc]
    assert value(baseline, "SELECT get_widget_data(%s)", cached) == data

    fresh, own = baseline.execute(
        "SELECT id, org_id FROM widget AS w WHERE data_source_config ->> 'source' ="
        " 'tickets_by_status' AND NOT EXISTS (SELECT FROM widget_data_cache AS c WHERE c.widget_id"
        " = w.id) LIMIT 1"
    ).fetchone()  # type: ignore[misc]
    figures = value(baseline, "SELECT get_widget_data(%s)", fresh)["figures"]
    assert sum(figures.values()) == value(
        baseline, "SELECT count(*) FROM support_ticket WHERE org_id = %s", own
    )


# ------------------------------------------------------------------ the data


def test_the_same_seed_and_scale_make_the_same_content(load: Load) -> None:
    assert content(load(seed=7)) == content(load(seed=7))


def test_another_seed_makes_other_content_of_about_the_same_size(load: Load) -> None:
    one, other = content(load(seed=7)), content(load(seed=8))
    assert not {table for table in one if one[table][1] == other[table][1]} - {"auth.users"}
    assert sum(n for n, _ in one.values()) == pytest.approx(
        sum(n for n, _ in other.values()), rel=0.2
    )


def test_rows_grow_with_the_scale(load: Load) -> None:
    small, large = content(load(scale=0.05)), content(load(scale=0.1))
    rows = [sum(n for n, _ in found.values()) for found in (small, large)]
    assert rows[1] / rows[0] == pytest.approx(2, rel=0.1)


def test_there_are_24_organisations_and_the_largest_has_a_third(load: Load) -> None:
    database = load(scale=0.1)
    shares = column(
        database,
        "SELECT count(*) / sum(count(*)) OVER () FROM audit_log GROUP BY org_id ORDER BY 1 DESC",
    )
    assert value(database, "SELECT count(*) FROM organization") == 24
    assert 0.3 < shares[0] < 0.4
    assert shares[-1] < 0.02


def test_the_audit_log_is_the_largest_table(baseline: Connection) -> None:
    rows = {t: value(baseline, f"SELECT count(*) FROM {t}") for t in column(baseline, TABLES)}
    assert max(rows, key=rows.__getitem__) == "audit_log"
    assert min(rows.values()) > 0


def test_currencies_are_those_the_enhanced_schema_knows(baseline: Connection) -> None:
    used = column(
        baseline,
        "SELECT DISTINCT settings ->> 'currency' FROM organization WHERE settings ? 'currency'",
    )
    known = {"USD", "EUR", "GBP", "JPY", "CAD", "AUD", "CHF", "CNY", "INR", "BRL"}
    assert set(used) - {None} == known


@pytest.mark.parametrize("scale", [0.001, 0.1])
def test_what_is_planted_can_be_found_at_every_scale(load: Load, scale: float) -> None:
    database = load(scale=scale)
    found = {
        blemish: value(database, f"SELECT count(*) FROM ({query}) AS found")
        for blemish, (_, query) in PLANTED.items()
    }
    assert found == {blemish: rows for blemish, (rows, _) in PLANTED.items()}


def test_seven_foreign_keys_have_no_index(baseline: Connection) -> None:
    assert set(column(baseline, UNINDEXED)) == {
        "ai_dataset.created_by", "alert_rule.created_by", "dashboard_share.shared_by",
        "data_import.connector_id", "integration_log.import_id", "purchase_order.approved_by",
        "ticket_comment.user_id",
    }  # fmt: skip


def test_audit_entries_name_rows_that_exist_unless_they_tell_of_a_deletion(
    baseline: Connection,
) -> None:
    for table in column(baseline, "SELECT DISTINCT table_name FROM audit_log"):
        query = f"""
            SELECT count(*) FROM audit_log AS a
            WHERE a.table_name = %s AND a.action <> 'DELETE'
              AND NOT EXISTS (SELECT FROM {table} AS t WHERE t.id = a.record_id)
        """
        assert value(baseline, query, table) == 0, table


@pytest.mark.parametrize(
    "found",
    [
        "SELECT max(lifetime_value) = 9999999999.99 AND min(lifetime_value) = 0 FROM customer",
        (
            "SELECT min(acquisition_date) = '1900-01-01' AND max(last_interaction_date) ="
            " '9999-12-31' FROM customer"
        ),
        "SELECT max(char_length(name)) = 200 AND min(char_length(name)) = 1 FROM customer",
        (
            "SELECT bool_or(lifetime_value IS NULL) AND bool_or(email IS NULL) AND bool_or(tags IS"
            " NULL) FROM customer"
        ),
        (
            "SELECT bool_or(name ~ E'\\u0308') AND bool_or(name ~ 'ليلى') AND bool_or(name ~"
            " '美咲') FROM customer"
        ),
        "SELECT bool_or(name ~ '🤖') FROM organization",
        (
            "SELECT max(quantity_on_hand) = 2147483647 AND max(unit_price) = 99999999.99 FROM"
            " inventory_item"
        ),
        (
            "SELECT max(total_amount) = 9999999999.00 AND max(tax_amount) = 9999999999.99 FROM"
            " purchase_order"
        ),
        "SELECT max(char_length(notes)) = 100000 FROM purchase_order",
        "SELECT min(timestamp) = '2024-10-01 00:00+00' FROM system_metric",
        "SELECT max(timestamp) = '2025-09-30 23:59:59.999999+00' FROM customer_interaction",
        "SELECT min(created_at) = '1900-01-01 00:00+00' FROM support_ticket",
    ],
)
def test_the_data_goes_to_the_extremes_of_what_is_valid(baseline: Connection, found: str) -> None:
    assert value(baseline, found)


# ------------------------------------------------------------------ other installations


def test_the_other_installation_works_alike(load: Load) -> None:
    database = load(auth="extended")
    one, other = two_users(database)
    assert value(database, "SELECT to_regclass('auth.users')") is None
    assert value(database, "SELECT count(*) FROM auth.users_extended") > value(
        database, "SELECT count(*) FROM profile"
    )
    assert set(database.execute(REFERENCES).fetchall()) == {
        (table, name, to)
        for table, name, *_, to in catalogue("baseline_columns.txt", "|")
        if to != "-"
    }
    own = "SELECT org_id FROM profile WHERE id = %s"
    for user, expected in (
        (one, column(database, own, one)),
        (other, column(database, own, other)),
        (None, []),
    ):
        with acting_as(database, user, setting="app.current_user_id"):
            assert column(database, "SELECT DISTINCT org_id FROM customer") == expected


def test_forced_row_security_holds_for_an_owner_too(load: Load) -> None:
    database = load(force_rls=True)
    user = two_users(database)[0]
    tables = column(database, TABLES)
    assert value(database, "SELECT count(*) FROM pg_class WHERE relforcerowsecurity") == len(tables)

    try:
        database.execute("CREATE ROLE baseline_owner")
        for table in tables:
            database.execute(
                SQL("ALTER TABLE {} OWNER TO baseline_owner").format(Identifier(table))
            )
        database.execute("ALTER FUNCTION current_org_id() OWNER TO baseline_owner")
        database.execute("GRANT USAGE ON SCHEMA auth, public TO baseline_owner")
        for role in ("baseline_owner", "authenticated"):
            with acting_as(database, user, role):
                assert value(database, "SELECT count(DISTINCT org_id) FROM customer") == 1
                assert value(database, "SELECT count(DISTINCT org_id) FROM profile") == 1
        with acting_as(database, None, "baseline_owner"):
            assert value(database, "SELECT count(*) FROM customer") == 0
    finally:
        database.execute("DROP OWNED BY baseline_owner CASCADE")
        database.execute("DROP ROLE baseline_owner")


@pytest.mark.parametrize(
    ("file", "rows", "query"),
    [
        (
            "older_tooling_a.sql",
            5,
            "SELECT count(*) FROM schema_migrations WHERE migration_name <> ''",
        ),
        (
            "older_tooling_b.sql",
            4,
            "SELECT count(id) FROM schema_migrations WHERE coalesce(rollback_sql, '') <> '-'",
        ),
        (
            "leftovers.sql",
            3,
            (
                "SELECT cardinality(enum_range(NULL::currency_code)) + 0 * count(*) FROM"
                " oauth_provider"
            ),
        ),
    ],
)
def test_what_earlier_tooling_left_loads_on_top(
    baseline: Connection, file: str, rows: int, query: str
) -> None:
    baseline.execute((settings.sql() / "baseline" / file).read_bytes())
    assert value(baseline, query) == rows
