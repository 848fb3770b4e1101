"""Validations: each one that finds something fails, and one that could not run has not passed."""

from __future__ import annotations

from pathlib import Path

import pytest
from workbench import Bench, beside, wait_for

from mantis_runbook.checks import validations
from mantis_runbook.checks.tenants.acts_as import ActsAs
from mantis_runbook.checks.validations import Validated, validate_file
from mantis_runbook.errors import ValidationFailed
from mantis_runbook.postgres.connection import connect


def validated(bench: Bench, tmp_path: Path, sql: str) -> Validated:
    path = tmp_path / "sample_validate.sql"
    path.write_text(sql)
    with connect(bench.target, "validation") as connection:
        return validate_file(connection, path)


FINDINGS = {
    "SELECT id FROM old WHERE id < 0": "",
    "DO $$ BEGIN ASSERT true; END $$": "",
    "CREATE TEMPORARY TABLE x (i integer)": "",
    "SELECT id, name FROM old WHERE id = 7": "1 row(s): id 7, name name 7",
    "SELECT id FROM old ORDER BY id LIMIT 7": "7 row(s): id 1; id 2; id 3; id 4; id 5",
    "SELECT NULL AS nothing": "1 row(s): nothing None",
    "DO $$ BEGIN ASSERT false, 'sums differ'; END $$": "sums differ",
    "DO $$ BEGIN RAISE EXCEPTION 'org % has no currency', 3; END $$": "org 3 has no currency",
    "SELECT no_such_column FROM old": 'column "no_such_column" does not exist',
    "SELECT 1 / 0": "division by zero",
    "SELECT pg_terminate_backend(pg_backend_pid())": (
        "terminating connection due to administrator command"
    ),
}


def test_what_a_statement_finds(bench: Bench, tmp_path: Path) -> None:
    for sql, found in FINDINGS.items():
        [result] = validated(bench, tmp_path, f"-- step: rule\n{sql};").results
        assert (result.name, result.verdict, result.found) == (
            "rule",
            "fail" if found else "pass",
            found,
        )


def test_one_that_says_it_does_not_apply_has_neither_passed_nor_failed(
    bench: Bench, tmp_path: Path
) -> None:
    raised = "DO $$ BEGIN RAISE NOTICE 'not applicable here: one organisation alone'; END $$"
    found = validated(bench, tmp_path, f"-- step: rule\n{raised};\n-- step: other\nSELECT 1;")
    assert [(result.verdict, result.found) for result in found.results] == [
        ("warn", "not applicable here: one organisation alone"),
        ("fail", "1 row(s): ?column? 1"),
    ]
    assert [result.name for result in found.failed] == ["other"]


def test_an_assertion_fails_on_a_database_that_switched_assertions_off(
    bench: Bench, tmp_path: Path
) -> None:
    bench.sql(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET plpgsql.check_asserts = off',"
        " current_database()); END $$"
    )
    [result] = validated(
        bench, tmp_path, "-- step: rule\nDO $$ BEGIN ASSERT false, 'sums differ'; END $$;"
    ).results
    assert (result.verdict, result.found) == ("fail", "sums differ")


def test_one_that_finds_something_does_not_keep_the_others_from_running(
    bench: Bench, tmp_path: Path
) -> None:
    found = validated(
        bench, tmp_path, "-- step: a\nSELECT 1;\nSELECT 1 WHERE false;\n-- step: b\nSELECT 1 / 0;"
    )
    assert [(result.name, result.verdict) for result in found.results] == [
        ("a", "fail"),
        ("a (2)", "pass"),
        ("b", "fail"),
    ]
    assert found.verdict == "fail"
    assert len(found.failed) == 2


def test_a_server_that_is_gone_passes_nothing(bench: Bench, tmp_path: Path) -> None:
    sql = (
        "-- step: a\nSELECT pg_terminate_backend(pg_backend_pid()) WHERE false;\n-- step: b\nSELECT"
        " pg_terminate_backend(pg_backend_pid());\n-- step: c\nSELECT 1 WHERE false;"
    )
    assert [result.verdict for result in validated(bench, tmp_path, sql).results] == [
        "pass",
        "fail",
        "fail",
    ]


def test_a_validation_leaves_nothing_behind(bench: Bench, tmp_path: Path) -> None:
    validated(
        bench,
        tmp_path,
        "-- step: a\nDELETE FROM old;\n-- step: b\nDO $$ BEGIN CREATE TABLE left_behind ();"
        " END $$;",
    )
    assert bench.value("SELECT count(*) FROM old") == 1000
    assert bench.there("left_behind") == [False]


def test_waiting_for_the_application_is_no_violation(bench: Bench, tmp_path: Path) -> None:
    with bench.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE old")
        with beside(
            lambda: validated(bench, tmp_path, "-- step: a\nSELECT id FROM old WHERE id < 0;")
        ) as runner:
            wait_for(
                lambda: bench.sql("SELECT 1 FROM pg_locks WHERE NOT granted"),
                "the validation to wait",
            )
            wait_for(
                lambda: not bench.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), "it to give way"
            )
            holder.execute("COMMIT")
    assert runner.result.verdict == "pass"


def test_a_validation_that_never_gets_its_lock_has_not_passed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validations, "PATIENCE_S", 0.5)
    with bench.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE old")
        [result] = validated(
            bench, tmp_path, "-- step: a\nSELECT id FROM old WHERE id < 0;"
        ).results
    assert (result.verdict, result.found) == ("fail", "canceling statement due to lock timeout")


def test_all_findings_are_named(bench: Bench, tmp_path: Path) -> None:
    found = validated(bench, tmp_path, "-- step: a\nSELECT 1 / 0;\n-- step: b\nSELECT 2 AS two;")
    with pytest.raises(
        ValidationFailed,
        match=(
            r"2 validation\(s\) failed: found sample_validate.sql, a: division by zero;"
            r" sample_validate.sql, b: 1 row\(s\): two 2,"
        ),
    ):
        validations.require([found])


@pytest.mark.parametrize(
    ("scripts", "found"),
    [
        ([], "no validation at all"),
        ([Validated("x_validate.sql", ())], "x_validate.sql: no validation in it"),
    ],
)
def test_nothing_checked_is_not_passed(scripts: list[Validated], found: str) -> None:
    with pytest.raises(ValidationFailed, match=found):
        validations.require(scripts)
    assert all(script.verdict == "fail" for script in scripts)


WATCHING = """
    CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN NEW.name := NEW.nickname; RETURN NEW; END';
    CREATE TRIGGER told BEFORE INSERT ON old FOR EACH ROW EXECUTE FUNCTION told();
"""
INSERTS = "-- step: a row\nDO $$ BEGIN INSERT INTO old (id, name) VALUES (0, 'a'); END $$;"


def test_a_function_of_the_application_that_never_worked_is_not_held_against_a_migration(
    bench: Bench, tmp_path: Path
) -> None:
    bench.sql(WATCHING)
    bench.up(bench.migration("-- step: fresh\nCREATE TABLE fresh (id bigint);"))
    [result] = validated(bench, tmp_path, INSERTS).results
    assert (result.verdict, result.found) == (
        "warn",
        (
            'not applicable here: told(), which was so before any migration, fails: record "new"'
            ' has no field "nickname"'
        ),
    )


def test_one_that_a_migration_replaced_is_held_against_it(bench: Bench, tmp_path: Path) -> None:
    bench.sql(WATCHING.replace("nickname", "name"))
    replaced = WATCHING.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").partition(
        "CREATE TRIGGER"
    )[0]
    bench.up(
        bench.migration(
            f"-- step: fresh\nCREATE TABLE fresh (id bigint);\n-- step: told\n{replaced}"
        )
    )
    [result] = validated(bench, tmp_path, INSERTS).results
    assert (result.verdict, result.found) == ("fail", 'record "new" has no field "nickname"')


def test_a_test_acts_as_this_installation_tells_who_acts(bench: Bench) -> None:
    claims = (
        '{"app.who": "{user}", "app.token": "{\\"org\\": \\"{org}\\", \\"role\\":'
        ' \\"{database_role}\\"}"}'
    )
    bench.sql("CREATE TABLE profile (id uuid, role text)")
    with bench.connect() as connection, connection.transaction(force_rollback=True):
        for statement in validations.stage(ActsAs()):
            connection.execute(statement)
        connection.execute("SELECT set_config('mantis_runbook.acts_as', %s, true)", (claims,))
        ada, org = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
        connection.execute("SELECT pg_temp.act_as(%s, %s, 'pg_monitor')", (ada, org))
        asked = (
            "SELECT current_setting('app.who'), current_setting('app.token'), current_user,"
            " current_setting('row_security')"
        )
        told = f'{{"org": "{org}", "role": "pg_monitor"}}'
        assert connection.execute(asked).fetchone() == (ada, told, "pg_monitor", "on")
        connection.execute("SELECT pg_temp.act_as(NULL, NULL, 'pg_monitor')")
        assert connection.execute(asked).fetchone() == ("", "", "pg_monitor", "on")


def test_where_nobody_can_tell_how_users_act_it_is_said_once(bench: Bench) -> None:
    bench.sql(
        "CREATE TABLE profile (id uuid, role text)"
    )  # without an organisation: the question itself fails
    with connect(bench.target, "validation") as connection:
        suite = validations.validate_suite(connection, ())
    [told] = suite.tests
    assert (told.source, told.verdict) == ("acting.sql", "pass")
    assert told.results[0].found.startswith("how sessions act as tenants could not be learnt (")
