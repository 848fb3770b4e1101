"""Phase 3's own: decisions are read strictly, and control totals agree to the last digit or name
the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from finance import for_runs, opened, sabotage, sales, up
from project import ask, execute

from mantis_runbook.errors import Failed, Inconclusive, ParameterError, Refused
from mantis_runbook.phases.finance.control_totals import compare, differences, keep
from mantis_runbook.phases.finance.currencies import GIVEN_UP, MINOR_UNITS
from mantis_runbook.phases.finance.finance_phase import (
    FinancePhase,
    amounts_file,
    currency_additions,
    currency_choices,
    keep_amounts,
    kept_amounts,
)
from mantis_runbook.phases.migrating_phase import MigrationPhase
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

TOTAL = {("org", "customer", "lifetime_value", "EUR"): (3, Decimal("10.00"))}


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("", {}),
        ("ZAR=USD", {"ZAR": "USD"}),
        (" ZAR = USD , GPB=GBP ", {"ZAR": "USD", "GPB": "GBP"}),
        ("ZAR=USD,ZAR=USD", {"ZAR": "USD"}),
    ],
)
def test_what_unknown_codes_stand_for(text, choices):
    assert currency_choices(text) == choices


@pytest.mark.parametrize("text", ["ZAR", "ZAR=", "=USD", "ZAR=USD,ZAR=EUR", "ZAR:USD"])
def test_a_currency_map_that_says_two_things_or_none_is_refused(text):
    with pytest.raises(ParameterError, match="currency_map"):
        currency_choices(text)


@pytest.mark.parametrize(
    ("text", "codes"), [("", ()), ("ZAR", ("ZAR",)), (" KRW , ZAR,KRW,", ("KRW", "ZAR"))]
)
def test_what_is_to_be_added(text, codes):
    assert currency_additions(text) == codes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("XQQ", "found 'XQQ', expected codes of ISO 4217"),
        ("ZAR, zar", "found 'zar', expected codes of ISO 4217"),
        ("RAND", "found 'RAND'"),
        ("ZAR;KRW", "found 'ZAR;KRW'"),
        ("ZAR=USD", "found 'ZAR=USD'"),
        ("XAU", "found 'XAU'"),
        ("CLF", "found 'CLF'"),
        (
            "BGN",
            (
                "found BGN, which is nobody's money since 2026-01-31, expected codes of ISO 4217"
                " that are money in use"
            ),
        ),
        ("ANG", "found ANG, which is nobody's money since 2025-06-30"),
        ("HRK", "found HRK, which is nobody's money since 2023-01-14"),
        ("IQD", "found IQD, whose amounts have 3 digits after the point"),
        (
            "KWD",
            (
                "found KWD, whose amounts have 3 digits after the point, expected a currency of at"
                " most 2"
            ),
        ),
    ],
)
def test_what_is_no_currency_of_ours_is_not_added(text, found):
    with pytest.raises(ParameterError, match=f"parameter currency_add: {found}"):
        currency_additions(text)


def test_currencies_and_their_digits_are_those_of_iso_4217_and_not_of_cash():
    assert {"USD", "EUR", "ZAR", "XCG", "ZWG", "SLE", "VES"} <= MINOR_UNITS.keys()
    assert not MINOR_UNITS.keys() & (GIVEN_UP.keys() | {"XAU", "XDR", "CHW", "CLF", "DEM"})
    assert {code: MINOR_UNITS[code] for code in ("JPY", "USD", "RSD", "LAK", "IQD", "KWD")} == {
        "JPY": 0, "USD": 2, "RSD": 2, "LAK": 2, "IQD": 3, "KWD": 3,
    }  # fmt: skip
    assert len(MINOR_UNITS) > 150


@pytest.mark.parametrize(
    ("after", "count"),
    [
        (TOTAL, 0),
        ({("org", "customer", "lifetime_value", "EUR"): (3, Decimal("10.01"))}, 1),
        ({("org", "customer", "lifetime_value", "EUR"): (4, Decimal("10.00"))}, 1),
        ({("org", "customer", "lifetime_value", "USD"): (3, Decimal("10.00"))}, 2),
        ({}, 1),
    ],
)
def test_control_totals_that_differ_are_found(after, count):
    assert len(differences(TOTAL, after)) == count


# -- row by row ------------------------------------------------------------------------------------

#: An organisation with purchase orders in a currency that is not GBP, and an order of it with
#: lines.
ORG = (
    "(SELECT o.org_id FROM purchase_order AS o JOIN organization_currency AS k USING (org_id) WHERE"
    " k.currency NOT IN ('GBP', 'USD') ORDER BY 1 LIMIT 1)"
)
ORDER = (
    "(SELECT purchase_order_id FROM purchase_order_item AS i JOIN purchase_order AS o ON o.id ="
    f" i.purchase_order_id WHERE org_id = {ORG} ORDER BY 1 LIMIT 1)"
)
CUSTOMER = f"(SELECT id FROM customer WHERE org_id = {ORG} ORDER BY 1 LIMIT 1)"

#: What an application may do between the first step and the comparison → the reasons by which rows
#: are left out.
RIGHTFUL = {
    "SELECT 1": set(),
    f'UPDATE organization SET settings = settings || \'{{"currency": "GBP"}}\' WHERE id = {ORG}': {
        "currency not judged"
    },
    f'UPDATE organization SET settings = settings || \'{{"currency": "XQQ"}}\' WHERE id = {ORG}': {
        "currency not judged"
    },
    f"UPDATE purchase_order SET currency = 'GBP' WHERE id = {ORDER}": {"changed"},
    f"UPDATE customer SET lifetime_value = lifetime_value + 0.01, currency = 'GBP' WHERE id ="
    f" {CUSTOMER}": {"changed"},
    f"UPDATE purchase_order_item SET unit_price = unit_price + 1 WHERE purchase_order_id ="
    f" {ORDER}": {"changed"},
    f"UPDATE customer SET name = 'Another' WHERE id = {CUSTOMER}": set(),
    f"INSERT INTO customer (org_id, name, lifetime_value, currency) VALUES ({ORG}, 'New',"
    f" 7, 'GBP')": set(),
    f"DELETE FROM purchase_order_item WHERE purchase_order_id = {ORDER}": {"changed", "deleted"},
    f"DELETE FROM purchase_order WHERE id = {ORDER}": {"deleted"},
    f"DELETE FROM customer WHERE org_id = {ORG}": {"deleted"},
}

QUIETLY = "SET LOCAL session_replication_role = replica"

#: As a step does it: its row of the journal commits with it.
AS_A_STEP = (
    "INSERT INTO mantis_runbook.journal (run, version, direction, step, state, who) VALUES ('r',"
    " '003', 'up', 's', 'batch', 'w')"
)

#: What a migration must never do → how many totals differ.
WRONG = {
    (
        QUIETLY,
        f"UPDATE customer SET lifetime_value = lifetime_value + 0.01 WHERE id = {CUSTOMER}",
    ): 1,
    (QUIETLY, f"UPDATE inventory_item SET unit_price = NULL WHERE org_id = {ORG}"): 1,
    (
        QUIETLY,
        f"UPDATE purchase_order SET tax_amount = tax_amount + 1, shipping_amount = 5000 WHERE"
        f" id = {ORDER}",
    ): 2,
    (
        QUIETLY,
        f"UPDATE purchase_order_item SET unit_price = unit_price + 1 WHERE purchase_order_id ="
        f" {ORDER}",
    ): 2,
    (QUIETLY, f"UPDATE customer SET currency = 'GBP' WHERE id = {CUSTOMER}"): 2,
    (QUIETLY, f"DELETE FROM customer WHERE id = {CUSTOMER}"): 1,
    (
        QUIETLY,
        f"UPDATE customer SET org_id = (SELECT id FROM organization WHERE id <> {ORG} LIMIT 1)"
        f" WHERE id = {CUSTOMER}",
    ): 2,
    (
        AS_A_STEP,
        f"UPDATE customer SET lifetime_value = lifetime_value + 0.01 WHERE id = {CUSTOMER}",
    ): 1,
    (AS_A_STEP, f"DELETE FROM customer WHERE id = {CUSTOMER}"): 1,
    (
        f"UPDATE purchase_order SET notes = 'touched' WHERE id = {ORDER}",
        QUIETLY,
        f"UPDATE purchase_order_item SET unit_price = unit_price + 1 WHERE purchase_order_id ="
        f" {ORDER}",
    ): 2,
}


def test_amounts_kept_before_the_migration_are_found_again_whatever_the_application_does(
    server: Server, baseline_template: str, tmp_path: Path
) -> None:
    path = tmp_path / "kept" / "amounts.copy"
    with sales(server, baseline_template) as target, connect(target, "test") as connection:
        count = keep(connection, path)
        assert path.stat().st_mode & 0o077 == 0
        up(target, "003")
        for act, reasons in RIGHTFUL.items():
            with connection.transaction(force_rollback=True):
                connection.execute(act)
                found = compare(connection, path)
            assert differences(found.before, found.after) == [], act
            assert {row["left_out"] for row in found.left_out} == reasons, act
            assert found.kept == count > 0
            assert (found.compared == count) == (not reasons & {"changed", "deleted"}), act
        for acts, expected in WRONG.items():
            with connection.transaction(force_rollback=True):
                for act in acts:
                    connection.execute(act)
                found = compare(connection, path)
            assert len(differences(found.before, found.after)) == expected, acts


def test_an_organisation_that_named_another_currency_first_still_has_its_amounts_compared(
    server: Server, baseline_template: str, tmp_path: Path
) -> None:
    path = tmp_path / "amounts.copy"
    org = (
        "(SELECT org_id FROM customer JOIN organization AS o ON o.id = org_id WHERE o.settings ->>"
        " 'currency' = 'EUR' ORDER BY 1 LIMIT 1)"
    )
    with sales(server, baseline_template) as target, connect(target, "test") as connection:
        keep(connection, path)
        connection.execute(
            'UPDATE organization SET settings = settings || \'{"currency": "GBP"}\' WHERE id ='
            f" {org}"
        )
        up(target, "003")
        found = compare(connection, path)
        assert differences(found.before, found.after) == []
        assert {row["left_out"] for row in found.left_out} == {"currency not judged"}
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE customer SET lifetime_value = lifetime_value + 0.01 WHERE currency = 'GBP'"
        )
        found = compare(connection, path)
        assert differences(found.before, found.after) != []


# -- the whole phase -------------------------------------------------------------------------------

UNTIL_MIGRATED = ("precheck", "back_up", "prove", "rehearse", "approve", "migrate")

BACKFILL = "UPDATE customer AS c\nSET currency = k.currency\n"
ONE = "SELECT id FROM customer WHERE lifetime_value > 0 ORDER BY id LIMIT 1"
IS_MIGRATED = "SELECT to_regclass('invoice') IS NOT NULL"


@pytest.fixture
def target(
    server: Server,
    baseline_template: str,
    reports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Target]:
    with sales(server, baseline_template) as target, for_runs(target, tmp_path, monkeypatch):
        yield target


def carry_out(finance: MigrationPhase, *verbs: str) -> None:
    for verb in verbs:
        getattr(finance, verb)()


def test_what_the_application_may_do_fails_neither_the_run_that_migrates_nor_a_later_one(
    target: Target,
) -> None:
    finance = opened(target)
    carry_out(finance, *UNTIL_MIGRATED)
    assert " control totals agree in the rehearsal" in finance.approve().summary
    org = ask(target, f"SELECT {ORG}")
    execute(
        target,
        *(
            act
            for act in RIGHTFUL
            if act.startswith(("UPDATE customer SET life", "UPDATE purchase_order SET", "INSERT"))
        ),
    )
    execute(
        target,
        'UPDATE organization SET settings = settings || \'{"currency": "GBP"}\' WHERE id ='
        f" '{org}'",
    )

    (kept,) = finance.run.backups.glob("amounts-*")
    kept.rename(kept.with_suffix(".away"))
    with pytest.raises(Inconclusive, match="amounts from before migration 003 are gone"):
        finance.validate()
    kept.with_suffix(".away").rename(kept)
    said = finance.validate().summary
    assert "control totals agree before and after" in said
    assert "1 that the application changed since are left out" in said
    assert "the currency is not judged" in said

    later = opened(target)
    carry_out(later, *UNTIL_MIGRATED, "validate", "compare")
    assert later.conclude().verdict == "passed"
    assert "no amounts to compare: nothing was migrated in this run" in later.validate().summary
    assert ask(target, IS_MIGRATED)


def test_what_a_cut_migration_began_with_stays_and_a_new_one_begins_anew(target: Target) -> None:
    finance = opened(target)
    keep_amounts(finance.record)
    execute(
        target,
        "UPDATE customer SET lifetime_value = lifetime_value + 1 WHERE lifetime_value < 1000",
    )
    keep_amounts(finance.record)
    begun = kept_amounts(finance.record)
    up(target, "003")
    keep_amounts(finance.record)
    assert kept_amounts(finance.record) == begun
    other = opened(target)
    keep_amounts(other.record)
    assert (begun["migration_had_begun"], kept_amounts(other.record)["migration_had_begun"]) == (
        False,
        True,
    )
    with connect(target, "test") as connection:
        found = compare(connection, amounts_file(finance.record))
    assert found.compared == found.kept == begun["rows"]


def test_an_amount_that_the_migration_alters_on_the_target_fails_and_is_rolled_back(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cent, in one row of one batch, on the target alone."""
    cent = (
        f"CASE WHEN c.id = '{ask(target, ONE)}' AND current_database() NOT LIKE 'mantis%' THEN 0.01"
        " ELSE 0 END"
    )
    sabotage(
        BACKFILL,
        f"{BACKFILL[:-1]}, lifetime_value = c.lifetime_value + {cent}\n",
        tmp_path,
        monkeypatch,
    )
    finance = opened(target)
    carry_out(finance, *UNTIL_MIGRATED)
    with pytest.raises(
        Failed, match="1 control totals differ on the target: found organisation .*lifetime_value"
    ):
        finance.validate()
    assert not ask(target, IS_MIGRATED)


def test_a_currency_that_the_migration_mistakes_fails_the_rehearsal_and_is_never_approved(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = f"CASE WHEN c.id = '{ask(target, ONE)}' THEN 'BRL' ELSE k.currency END"
    sabotage(BACKFILL, BACKFILL.replace("k.currency", label), tmp_path, monkeypatch)
    finance = opened(target)
    carry_out(finance, "precheck", "back_up", "prove")
    with pytest.raises(
        Failed,
        match="2 control totals differ in the rehearsal: found organisation .*lifetime_value",
    ):
        finance.rehearse()
    with pytest.raises(Refused, match="approve cannot run yet: found rehearse not passed"):
        finance.approve()

    with monkeypatch.context() as careless:
        careless.delitem(FinancePhase.around, "rehearse")
        finance.rehearse()
    with pytest.raises(Refused, match="phase 3 cannot be approved: found no control totals"):
        finance.approve()
    with pytest.raises(Refused, match="migrate cannot run yet"):
        finance.migrate()
    assert not ask(target, IS_MIGRATED)


def test_an_amount_that_the_migration_alters_fails_the_rehearsal(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cent = f"CASE WHEN c.id = '{ask(target, ONE)}' THEN 0.01 ELSE 0 END"
    sabotage(
        BACKFILL,
        f"{BACKFILL[:-1]}, lifetime_value = c.lifetime_value + {cent}\n",
        tmp_path,
        monkeypatch,
    )
    finance = opened(target)
    carry_out(finance, "precheck", "back_up", "prove")
    with pytest.raises(Failed, match="old columns changed: customer"):
        finance.rehearse()
    with pytest.raises(Refused, match="approve cannot run yet: found rehearse not passed"):
        finance.approve()


def test_an_installation_without_money_passes(target: Target) -> None:
    execute(target, "TRUNCATE customer, inventory_item, purchase_order CASCADE")
    finance = opened(target)
    carry_out(finance, *UNTIL_MIGRATED)
    assert finance.approve().summary.endswith("0 control totals, there is no money yet")
    assert finance.validate().summary.endswith("0 control totals, there was no money yet")
