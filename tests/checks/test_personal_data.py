"""Personal data is known: what looks like it is marked, and no report holds a value."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from stages import Climbed, climbed, known

from mantis_runbook.checks import named_checks
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

OURS, ELSEWHERE = "unmarked_personal_data", "unmarked_personal_data_elsewhere"
CLASSES = {"identity", "contact", "location", "credential", "behaviour", "free text"}


@pytest.fixture
def done(server: Server) -> Climbed:
    return climbed(server)


@pytest.fixture
def migrated(done: Climbed) -> Iterator[Connection]:
    """A transaction on the database with all migrations, which is rolled back."""
    with (
        patch.object(migration_files, "load", return_value=known()),
        done.connect() as connection,
        connection.transaction(force_rollback=True),
    ):
        yield connection


def found(connection: Connection, name: str, phase: int = 5) -> tuple[str, list[str]]:
    """Verdict and findings of one check."""
    (result,) = named_checks.run(connection, phase, [name]).results
    return result.verdict, [str(finding) for finding in result.found]


def test_everything_is_marked_before_between_and_after_all_migrations(
    done: Climbed, server: Server
) -> None:
    for stage in (*done.personal.values(), *climbed(server, "extended").personal.values()):
        assert [
            (result.check.name, *map(str, result.found)) for result in stage.results if result.total
        ] == []
    assert len(done.personal) > 3


#: What breaks it, which check says so, and what it says.
BROKEN = [
    (
        "COMMENT ON COLUMN lead.email IS NULL",
        OURS,
        "lead.email: looks like contact, and its comment does not say whether it is",
    ),
    ("COMMENT ON COLUMN lead.notes IS 'What was noted.'", OURS, "lead.notes: looks like free text"),
    (
        "COMMENT ON COLUMN lead.notes IS 'personal data: what was noted.'",
        OURS,
        "lead.notes: its comment names no class",
    ),
    (
        "COMMENT ON COLUMN lead.score IS 'Personal data.'",
        OURS,
        "lead.score: its comment names no class",
    ),
    (
        "COMMENT ON COLUMN product.name IS 'not personal: '",
        OURS,
        "product.name: looks like identity",
    ),
    (
        "COMMENT ON COLUMN user_session.ip_address IS 'where from'",
        OURS,
        "user_session.ip_address: looks like location",
    ),
    (
        "ALTER TABLE invoice ADD COLUMN signature text",
        OURS,
        "invoice.signature: looks like identity",
    ),
    (
        "ALTER TABLE customer_contact ADD COLUMN date_of_birth date",
        OURS,
        "customer_contact.date_of_birth: looks like identity",
    ),
    (
        "COMMENT ON COLUMN customer_analytics.customer_name IS 'whose'",
        OURS,
        "customer_analytics.customer_name: looks like identity",
    ),
    ("COMMENT ON COLUMN customer.email IS NULL", ELSEWHERE, "customer.email: looks like contact"),
    (
        "COMMENT ON COLUMN audit_log.ip_address IS NULL",
        ELSEWHERE,
        "audit_log.ip_address: looks like location",
    ),
    (
        "ALTER TABLE supplier ADD COLUMN contact_mobile text",
        ELSEWHERE,
        "supplier.contact_mobile: looks like contact",
    ),
    ("CREATE TABLE guest (full_name text)", ELSEWHERE, "guest.full_name: looks like identity"),
    (
        "CREATE MATERIALIZED VIEW guest AS SELECT email FROM customer",
        ELSEWHERE,
        "guest.email: looks like contact",
    ),
]


@pytest.mark.parametrize(
    ("statement", "check", "words"), BROKEN, ids=[one[0][:50] for one in BROKEN]
)
def test_what_is_not_marked_is_found(
    migrated: Connection, statement: str, check: str, words: str
) -> None:
    """In what migrations made it fails in the end; the application's own tables promised nothing,
    and it only warns.
    """
    migrated.execute(statement)
    verdict, said = found(migrated, check)
    assert verdict == ("fail" if check == OURS else "warn")
    assert [one for one in said if one.startswith(words)] == said
    assert found(migrated, check, 4)[0] == "warn"
    assert found(migrated, ELSEWHERE if check == OURS else OURS) == ("pass", [])


def test_what_the_check_asks_for_settles_it(migrated: Connection) -> None:
    migrated.execute("ALTER TABLE lead ADD COLUMN fax text, ADD COLUMN city text")
    assert len(found(migrated, OURS)[1]) == 2
    migrated.execute(
        "COMMENT ON COLUMN lead.fax IS 'personal data: contact: where nobody writes to any more.'"
    )
    migrated.execute(
        "COMMENT ON COLUMN lead.city IS 'Not personal: the city of the fair where we met.'"
    )
    assert found(migrated, OURS) == ("pass", [])


def test_a_column_that_a_migration_adds_to_an_old_table_is_ours(migrated: Connection) -> None:
    migrated.execute("ALTER TABLE customer ALTER COLUMN currency TYPE text")
    migrated.execute("COMMENT ON COLUMN customer.currency IS 'personal data, as somebody thought.'")
    assert found(migrated, OURS)[0] == "fail"


def test_a_baseline_without_comments_only_warns(migrated: Connection) -> None:
    migrated.execute(
        "DELETE FROM pg_description WHERE classoid = 'pg_class'::regclass AND objsubid > 0"
    )
    assert found(migrated, ELSEWHERE)[0] == "warn"
    assert found(migrated, OURS)[0] == "fail"


SUSPECTS = {
    "identity": [
        "name",
        "first_name",
        "lastname",
        "customer_name",
        "customer_company",
        "birthday",
        "tax_id",
        "passport",
        "avatar_url",
        "photo",
        "gender",
    ],
    "contact": ["email", "work_email", "e_mail", "phone", "mobile_phone", "telephone", "fax"],
    "location": [
        "address",
        "billing_address",
        "street",
        "zip",
        "postal_code",
        "city",
        "country",
        "ip",
        "client_ip",
        "location",
    ],
    "credential": [
        "password",
        "password_hash",
        "client_secret",
        "share_token",
        "api_key_hash",
        "backup_codes",
    ],
    "behaviour": ["user_agent", "browser", "device_id", "target_audience"],
    "free text": [
        "notes",
        "internal_notes",
        "comment",
        "content",
        "message",
        "error_message",
        "description",
        "title",
        "metadata",
        "payload",
        "old_data",
        "settings",
        "attachments",
    ],
}

INNOCENT = [
    "id",
    "sku",
    "status",
    "file_name",
    "table_name",
    "metric_name",
    "model",
    "category",
    "unit_of_measure",
    "order_number",
    "tokens_used",
    "token_url",
    "mailbox_size",
    "ship_date",
    "zipped",
    "contents_hash_kind",
    "renamed",
    "recipe",
    "currency",
]


def test_a_name_gives_itself_away(migrated: Connection) -> None:
    names = [name for group in SUSPECTS.values() for name in group] + INNOCENT
    migrated.execute("CREATE TABLE guest (" + ", ".join(f"{name} text" for name in names) + ")")
    with patch.object(named_checks, "KEPT", 1000):
        said = found(migrated, ELSEWHERE)[1]
    expected = {
        f"guest.{name}: looks like {kind}" for kind, group in SUSPECTS.items() for name in group
    }
    assert {one.split(",")[0] for one in said} == expected


@pytest.mark.parametrize(
    ("column", "is_found"),
    [
        ("email varchar(200)", True),
        ("emails text[]", True),
        ("address jsonb", True),
        ("seen_from inet", True),
        ("birth date", True),
        ("phone bigint", False),
        ("email boolean", False),
        ("message_count integer", False),
        ("networks cidr[]", True),
        ('"E-Mail" text', False),
        ('"Email" text', True),
    ],
)
def test_the_type_decides_too(migrated: Connection, column: str, is_found: bool) -> None:
    migrated.execute("CREATE TABLE guest (" + column + ")")  # type: ignore[arg-type]
    assert bool(found(migrated, ELSEWHERE)[1]) == is_found


def test_partitions_and_members_of_extensions_are_not_asked(migrated: Connection) -> None:
    migrated.execute("CREATE TABLE log (email text, at date) PARTITION BY RANGE (at)")
    migrated.execute("COMMENT ON COLUMN log.email IS 'personal data: contact: who it was.'")
    migrated.execute("CREATE TABLE log_all PARTITION OF log DEFAULT")
    assert found(migrated, ELSEWHERE) == ("pass", [])


# -- the report ------------------------------------------------------------------------------------


def test_the_report_counts_columns_and_rows_of_each_class(migrated: Connection) -> None:
    frame = named_checks.report(migrated, "personal_data")
    assert list(frame.columns) == ["class", "table_name", "number_of_columns", "columns", "rows"]
    assert set(frame["class"]) == CLASSES
    assert not frame.duplicated(["class", "table_name"]).any()
    (customer,) = frame[
        (frame["class"] == "contact") & (frame["table_name"] == "customer")
    ].itertuples()
    rows = migrated.execute(
        "SELECT count(*) FROM customer WHERE email IS NOT NULL OR phone IS NOT NULL"
    ).fetchone()
    assert (customer.number_of_columns, customer.columns, (customer.rows,)) == (
        2,
        "email, phone",
        rows,
    )


def test_the_report_counts_the_copies_in_materialized_views(migrated: Connection) -> None:
    def counted() -> dict[str, int]:
        frame = named_checks.report(migrated, "personal_data")
        return {
            one["class"]: one["rows"]
            for _, one in frame[frame["table_name"] == "customer_analytics"].iterrows()
        }

    rows = migrated.execute(
        "SELECT count(*), count(*) FILTER (WHERE num_nonnulls(last_interaction_at,"
        " average_sentiment) > 0) FROM customer_analytics"
    ).fetchone()
    assert counted() == dict(zip(("identity", "behaviour"), rows, strict=True))
    migrated.execute("REFRESH MATERIALIZED VIEW customer_analytics WITH NO DATA")
    assert counted() == {}


def test_the_report_holds_no_value(migrated: Connection) -> None:
    migrated.execute(
        "UPDATE profile SET display_name = 'Sentinel McValue', avatar_url ="
        " 'https://sentinel.example/face'"
    )
    said = named_checks.report(migrated, "personal_data").to_json().lower()
    assert "sentinel" not in said
    for (email,) in migrated.execute(
        "SELECT lower(email) FROM customer WHERE email IS NOT NULL LIMIT 100"
    ):
        assert email not in said


def test_nothing_marked_is_an_empty_report(migrated: Connection) -> None:
    migrated.execute(
        "DELETE FROM pg_description WHERE classoid = 'pg_class'::regclass AND objsubid > 0"
    )
    frame = named_checks.report(migrated, "personal_data")
    assert (len(frame), "rows" in frame) == (0, True)
