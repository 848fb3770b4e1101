"""A currency outside the enum blocks phase 3 until the operator maps or adds it; added, it stays,
and a rollback says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from finance import NAMES, for_runs, opened, sales, up
from project import ask, execute, nothing_changes

from mantis_runbook import notebook, settings
from mantis_runbook.checks import named_checks, validations
from mantis_runbook.errors import ParameterError, PrecheckFailed, StepFailed
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases.finance.currencies import MINOR_UNITS
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.connection import connect, query
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import run

ENUM = (
    "SELECT array_agg(enumlabel::text ORDER BY enumsortorder)::text FROM pg_enum WHERE enumtypid ="
    " 'currency_code'::regtype"
)
ON_RECORD = (
    "SELECT array_agg(key || '=' || value || ' by ' || decided_by ORDER BY key)::text FROM"
    " mantis_runbook.decision"
)
COUNT = "SELECT count(*) FROM organization WHERE settings ->> 'currency' = 'ZAR'"


@contextmanager
def rand(server: Server, baseline_template: str) -> Iterator[Target]:
    """A database after phase 2 in which the two organisations with most purchase orders are in
    ZAR.
    """
    with sales(server, baseline_template) as target:
        execute(
            target,
            "UPDATE organization SET settings = coalesce(settings, '{}') || '{\"currency\":"
            ' "ZAR"}\' WHERE id IN (SELECT org_id FROM purchase_order GROUP BY 1 ORDER BY count(*)'
            " DESC LIMIT 2)",
        )
        yield target


@pytest.fixture
def target(
    server: Server,
    baseline_template: str,
    reports: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Target]:
    """As `rand`, for runs of the runbook: limits of development without load, gate and guard's
    judgement of this machine.
    """
    with rand(server, baseline_template) as target, for_runs(target, tmp_path, monkeypatch):
        yield target


def test_zar_blocks_the_phase_until_it_is_added_and_a_rollback_leaves_the_label_and_says_so(
    target: Target,
) -> None:
    assert ask(target, COUNT) == 2
    with pytest.raises(PrecheckFailed, match="currencies_undecided.*'ZAR'"):
        opened(target).precheck()
    assert "ZAR" not in ask(target, ENUM)

    finance = opened(target, currency_add="ZAR")
    finance.precheck()
    assert ask(target, ON_RECORD) == '{"ZAR=ZAR by Ada"}'
    assert "ZAR" not in ask(target, ENUM), "the precheck changes nothing of the application's"
    finance.back_up()
    finance.prove()
    rehearsed = finance.rehearse()
    assert (
        "labels that the operator added to public.currency_code stay: PostgreSQL cannot drop a"
        " label" in rehearsed.summary
    )
    assert "without a trace" not in rehearsed.summary
    assert "ZAR" not in ask(target, ENUM), "the rehearsal was on the copy"
    finance.approve()
    finance.migrate()
    assert "control totals agree" in finance.validate().summary
    assert ask(target, ENUM).endswith(",BRL,ZAR}")
    for table in ("customer", "inventory_item", "purchase_order"):
        wrong = (
            f"SELECT count(*) FROM {table} JOIN organization AS o ON o.id = org_id WHERE (currency"
            " = 'ZAR') <> (o.settings ->> 'currency' IS NOT DISTINCT FROM 'ZAR')"
        )
        assert ask(target, wrong) == 0
    assert ask(target, "SELECT count(*) FROM purchase_order WHERE currency = 'ZAR'") > 0
    assert (
        ask(
            target,
            "SELECT string_agg(DISTINCT source, ' ') FROM organization_currency WHERE currency ="
            " 'ZAR'",
        )
        == "settings"
    )
    assert ask(target, "SELECT count(*) FROM currency_mapping") == 0
    assert ask(target, "SELECT round_money(0.125, 'ZAR')") == Decimal("0.13")
    core = migration_files.find(migration_files.load(), "001")
    with connect(target, "test") as connection:
        assert validations.validate(connection, core.validation).failed == ()
        with connection.transaction(force_rollback=True):
            connection.execute("DELETE FROM mantis_runbook.decision")
            (failed,) = validations.validate(connection, core.validation).failed
        assert "currency_code has USD" in failed.found
        found = named_checks.run(connection, 3, ["organizations_with_unknown_currency"])
        assert not [one for result in found.results for one in result.found if "ZAR" in str(one)]
    opened(target, currency_add="ZAR").precheck()  # the same decision again is none

    rolling = notebook.open_rollback({**NAMES, "version": "003", "confirm": "003"})
    rolling.choose()
    rolling.confirm()
    done = rolling.carry_out()
    assert "labels that the operator added to public.currency_code stay" in done.summary
    assert any(
        "ZAR" in str(row) for table in done.tables for row in table.records if "after" in row
    )
    assert ask(target, ENUM).endswith(",BRL,ZAR}")
    assert ask(target, ON_RECORD) == '{"ZAR=ZAR by Ada"}'
    with connect(target, "test") as connection:
        assert validations.validate(connection, core.validation).failed == ()


REFUSED = [
    ({"currency_add": "XQQ"}, "", "currency_add: found 'XQQ', expected codes of ISO 4217"),
    ({"currency_add": "zar"}, "", "currency_add: found 'zar'"),
    ({"currency_add": "BHD"}, "", "found BHD, whose amounts have 3 digits"),
    (
        {"currency_add": "ZAR", "currency_map": "ZAR=USD"},
        "",
        "currency_map: found ZAR=USD, expected codes that are no currency of the schema",
    ),
    ({"currency_map": "EUR=USD"}, "", "currency_map: found EUR=USD"),
    (
        {"currency_map": "RAND=ZAR"},
        "",
        "currency_map: found ZAR, expected one of AUD.*or add that one too",
    ),
    (
        {},
        "INSERT INTO mantis_runbook.decision (subject, key, value, decided_by) VALUES"
        " ('currency', 'XQQ', 'XQQ', 'eve')",
        "mantis_runbook.decision, where it stands to be added: found 'XQQ'",
    ),
]


def test_what_cannot_be_added_or_mapped_is_refused_and_not_recorded(target: Target) -> None:
    for parameters, statement, message in REFUSED:
        if statement:
            execute(target, statement)
        before = ask(target, ON_RECORD)
        with pytest.raises(ParameterError, match=message):
            opened(target, **parameters).precheck()
        assert ask(target, ON_RECORD) == before
    assert ask(target, ENUM).endswith(",BRL}")


def test_a_currency_that_was_given_up_stays_where_it_was_added_while_it_was_money(
    target: Target,
) -> None:
    execute(
        target,
        "INSERT INTO mantis_runbook.decision (subject, key, value, decided_by) VALUES ('currency',"
        " 'BGN', 'BGN', 'Ada')",
    )
    with pytest.raises(
        ParameterError,
        match="stands to be added: found BGN, which is nobody's money since 2026-01-31",
    ):
        opened(target).precheck()
    execute(target, "ALTER TYPE currency_code ADD VALUE 'BGN'")
    decided = opened(target, currency_add="ZAR")
    assert decided.precheck().verdict in ("passed", "warned")


def test_a_code_may_be_mapped_to_what_is_added(target: Target) -> None:
    execute(
        target,
        'UPDATE organization SET settings = \'{"currency": "Rand"}\' WHERE settings ->>'
        " 'currency' = 'ZAR'",
    )
    opened(target, currency_add="ZAR", currency_map="Rand=ZAR").precheck()
    up(target, "003")
    found = (
        "SELECT string_agg(DISTINCT concat_ws(' ', currency, source, decided_by), ', ') FROM"
        " organization_currency WHERE code_found = 'Rand'"
    )
    assert ask(target, found) == "ZAR mapped Ada"
    assert (
        ask(target, "SELECT string_agg(code || '=' || currency, ', ') FROM currency_mapping")
        == "Rand=ZAR"
    )


#: Codes that the tests in SQL once took for undecided, decided by the operator: with the
#: parameters, and where a hint sends him.
DECIDED: list[tuple[dict[str, str], str]] = [
    (
        {"currency_map": "eur=EUR, EURO=EUR, ZAR=USD, Z-R=USD, 978=EUR"},
        (
            "INSERT INTO mantis_runbook.decision (subject, key, value, decided_by) VALUES"
            " ('currency', '', 'USD', 'Ada'), ('currency', ' EUR', 'EUR', 'Ada')"
        ),
    ),
    ({"currency_add": "ZAR"}, "SELECT"),
]


@pytest.mark.parametrize(("decided", "by_hand"), DECIDED, ids=["mapped", "added"])
def test_whatever_was_decided_the_projects_own_tests_hold(
    target: Target, decided: dict[str, str], by_hand: str
) -> None:
    execute(target, by_hand)
    opened(target, **decided).precheck()
    up(target, *(one.version for one in migration_files.load() if one.version > "002"))
    assert failed_tests(target) == []
    # What the application names afterwards waits for a decision, of the organisation whose user the
    # tests take too.
    execute(target, 'UPDATE organization SET settings = \'{"currency": "Later"}\'')
    assert failed_tests(target) == []


def failed_tests(target: Target) -> list[str]:
    with connect(target, "test") as connection:
        suite = validations.validate_suite(connection, migration_files.load())
    assert {script.source for script in suite.tests} == {
        path.name for path in (settings.sql() / "tests").glob("*.sql")
    }
    return suite.problems


def test_what_comes_too_late_for_the_migration_says_what_to_run_instead(target: Target) -> None:
    opened(target, currency_map="ZAR=USD").precheck()
    up(target, "003")
    execute(
        target,
        "INSERT INTO organization (name, slug, settings) VALUES ('Late', 'late', '{\"currency\":"
        ' "KRW"}\')',
    )
    with pytest.raises(
        ParameterError,
        match="KRW, after migration 003 was completed.*SELECT decide_currency\\('KRW', 'USD'",
    ):
        opened(target, currency_map="KRW=USD").precheck()
    with pytest.raises(ParameterError, match="ADD VALUE 'KRW';") as refused:
        opened(target, currency_add="KRW").precheck()
    execute(target, *re.findall(r"ALTER TYPE [^;]+;", str(refused.value)))
    assert opened(target, currency_add="KRW", currency_map="ZAR=USD").precheck()
    assert ask(target, "SELECT round_money(0.5, 'KRW')") == 1


def test_a_code_on_record_that_is_none_stops_the_step_and_nothing_is_half_done(
    target: Target,
) -> None:
    execute(
        target,
        "INSERT INTO mantis_runbook.decision (subject, key, value, decided_by) VALUES ('currency',"
        " 'z''r', 'z''r', 'eve')",
    )
    with pytest.raises(StepFailed, match="currency to add: found 'z''r'"):
        up(target, "003")
    assert ask(target, "SELECT to_regclass('currency_mapping') IS NULL")


#: Phase, what stands in its way, the check that says so, and a query for the key or name that it
#: must say.
IN_THE_WAY = [
    (
        "3",
        "ALTER TABLE purchase_order ALTER COLUMN shipping_amount TYPE numeric;"
        " UPDATE purchase_order SET shipping_amount = 99999999999 WHERE id = (SELECT"
        " min(id::text)::uuid FROM purchase_order)",
        "amounts_out_of_range",
        "SELECT id::text FROM purchase_order WHERE shipping_amount > 9999999999",
    ),
    (
        "3",
        'UPDATE organization SET settings = \'{"currency": ""}\' WHERE id = (SELECT'
        " min(id::text)::uuid FROM organization)",
        "currencies_undecided",
        "SELECT id::text FROM organization WHERE settings ->> 'currency' = ''",
    ),
    (
        "3",
        'UPDATE organization SET settings = \'{"currency": "XQQ"}\' WHERE id = (SELECT'
        " min(id::text)::uuid FROM organization)",
        "currencies_undecided",
        "SELECT 'XQQ'",
    ),
    (
        "4",
        "CREATE VIEW theirs AS SELECT id FROM audit_log",
        "audit_log_dependents",
        "SELECT 'theirs'",
    ),
    (
        "4",
        "CREATE TABLE ai_message_default (a integer)",
        "partitions_in_the_way",
        "SELECT 'ai_message_default'",
    ),
    (
        "4",
        "INSERT INTO audit_log (action, table_name, timestamp) VALUES ('API_CALL', 'ahead',"
        " '2099-01-01')",
        "audit_log_dated_ahead",
        "SELECT id::text FROM audit_log WHERE table_name = 'ahead'",
    ),
]


def test_what_is_in_the_way_of_a_phase_is_named_with_its_key_before_anything_is_changed(
    target: Target,
) -> None:
    for number, statement, check, key in IN_THE_WAY:
        if number == "4" and not ask(target, "SELECT to_regclass('invoice') IS NOT NULL"):
            execute(target, "UPDATE organization SET settings = settings - 'currency'")
            execute(
                target,
                "UPDATE purchase_order SET shipping_amount = 0 WHERE shipping_amount > 9999999999",
            )
            up(target, "003")
        execute(target, *statement.split(";"))
        with (
            nothing_changes(target),
            pytest.raises(
                PrecheckFailed, match=f"{check}: found [^;]*{ask(target, key)}"
            ) as refused,
        ):
            begun = run.start(
                target, settings.environment("development"), "Ada", phases={number: []}
            )
            notebook.open(number, NAMES | {"run": begun.name}).precheck()
        assert refused.value.exit_code == 2
        assert re.search(rf"{check}: found .*\d", str(refused.value))


def test_a_label_that_nobody_has_on_record_is_a_difference() -> None:
    before = catalog.Catalog(
        {
            "enums": {
                "public.currency_code": "'USD', 'BRL'; owner o",
                "public.tax_type": "'vat'; owner o",
            }
        }
    )

    def after(code: str, tax: str = "'vat'; owner o") -> catalog.Catalog:
        return catalog.Catalog({"enums": {"public.currency_code": code, "public.tax_type": tax}})

    left = catalog.left_behind(
        before, after("'USD', 'BRL', 'ZAR'; owner o"), {"public.currency_code": ["ZAR"]}
    )
    assert left.is_empty
    assert not left.exactly_equal
    assert left.summary.startswith(
        "the catalogues are equal; labels that the operator added to public.currency_code stay"
    )
    for wrong in (
        after("'USD', 'BRL', 'KRW'; owner o"),
        after("'USD', 'BRL', 'KRW', 'ZAR'; owner o"),
        after("'USD', 'ZAR'; owner o"),
        after("'USD', 'ZAR', 'BRL'; owner o"),
        after("'USD', 'BRL', 'ZAR'; owner p"),
        after("'USD', 'BRL'; owner o", "'vat', 'ZAR'; owner o"),
    ):
        assert not catalog.left_behind(before, wrong, {"public.currency_code": ["ZAR"]}).is_empty
    assert not catalog.left_behind(before, after("'USD', 'BRL', 'ZAR'; owner o")).is_empty


def test_the_lists_of_currencies_agree(server: Server, baseline_template: str) -> None:
    """Ours, the check's, the migration's and that of amounts finer than their currency."""
    text = query("checks/application/organizations_with_unknown_currency")
    assert set(re.findall(r"[A-Z]{3}", re.search(r"'\{(.*?)\}'", text, re.S)[1])) == set(
        MINOR_UNITS
    )  # type: ignore[index]
    whole = sorted(code for code, digits in MINOR_UNITS.items() if digits == 0)
    fine = query("checks/application/amounts_finer_than_their_currency")
    assert re.findall(r"'([A-Z]{3})'", fine[fine.index("meant.currency IN") :]) == whole
    with rand(server, baseline_template) as target:
        for code in [*whole, "ZAR"]:
            execute(target, f"ALTER TYPE currency_code ADD VALUE IF NOT EXISTS '{code}'")
        execute(
            target,
            "INSERT INTO mantis_runbook.decision (subject, key, value, decided_by) SELECT"
            " 'currency', enumlabel, enumlabel, 'me' FROM pg_enum WHERE enumtypid ="
            " 'currency_code'::regtype",
        )
        up(target, "003")
        units = (
            "SELECT array_agg(c::text ORDER BY c::text)::text FROM"
            " unnest(enum_range(NULL::currency_code)) AS c WHERE currency_minor_units(c) = %d"
        )
        assert ask(target, units % 0) == "{" + ",".join(whole) + "}"
        assert "ZAR" in ask(target, units % 2)
