"""What a database is, in one sentence: the baseline, half enhanced by hand, or something else."""

from __future__ import annotations

import pytest

from mantis_runbook.checks import recognition
from mantis_runbook.engine import ledger
from mantis_runbook.errors import PrecheckFailed
from mantis_runbook.postgres.connection import Connection

BY_HAND = (
    "CREATE TYPE lead_status AS ENUM ('new', 'won')",
    (
        "CREATE TABLE lead (id uuid PRIMARY KEY, org_id uuid REFERENCES organization, status"
        " lead_status)"
    ),
    "ALTER TABLE purchase_order ADD COLUMN currency text",
)
LATER = """
DO $$
BEGIN
    CREATE TYPE invoice_status AS ENUM ('open', 'closed');
    CREATE TABLE price_list (id uuid PRIMARY KEY);
    FOR n IN 1..50 LOOP
        EXECUTE format('CREATE TABLE module_%s (id uuid PRIMARY KEY)', n);
    END LOOP;
END
$$
"""


def refusal(connection: Connection, phase: str = "0") -> str:
    with pytest.raises(PrecheckFailed) as caught:
        recognition.require_baseline(connection, phase)
    return str(caught.value)


def test_the_baseline_is_known_before_and_after_the_ledger_is_there(baseline: Connection) -> None:
    assert recognition.recognise(baseline, "0").kind == "baseline"
    ledger.install(baseline)
    recognition.require_baseline(baseline, "0")


def test_a_schema_enhanced_by_hand_is_told_in_the_first_sentence_with_the_way_out(
    baseline: Connection,
) -> None:
    for statement in BY_HAND:
        baseline.execute(statement)
    text = refusal(baseline)
    first, *details = text.splitlines()
    assert first.startswith(
        "the enhanced schema is half applied here, and not by this runbook: 1 table (lead),"
        " 1 type (lead_status), 1 column (purchase_order.currency); lead without row-level security"
    )
    assert "ALTER TABLE … RENAME TO …_before" in text
    assert [line.split(":")[0].strip() for line in details] == ["leftover_enums", "leftover_tables"]


def test_a_later_mantisnxt_is_called_that(baseline: Connection) -> None:
    baseline.execute(LATER)
    first = refusal(baseline).splitlines()[0]
    assert first.startswith(
        "this is a later MantisNXT: 79 tables in public, among them price_list that this runbook"
        " would make; invoice_status with labels of their own"
    )


def test_many_tables_of_the_owners_own_make_no_later_mantisnxt(baseline: Connection) -> None:
    baseline.execute(
        LATER.replace("invoice_status", "their_status").replace("price_list", "their_prices")
    )
    recognition.require_baseline(baseline, "0")


def test_another_applications_database_is_told_as_that(baseline: Connection) -> None:
    baseline.execute("DROP SCHEMA public CASCADE")
    baseline.execute("CREATE SCHEMA public")
    baseline.execute("CREATE TABLE loan (id integer PRIMARY KEY)")
    assert refusal(baseline).startswith(
        "this is no database of MantisNXT: 0 of its 28 tables are in the schema public"
    )
