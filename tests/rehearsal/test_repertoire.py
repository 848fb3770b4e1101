"""What a database can play: our scenarios, the owner's scripts, or learnt statements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from project import Project, ask
from workbench import wait_for

from mantis_runbook import notebook, settings
from mantis_runbook.errors import Failed, Inconclusive, MigrationFileError, ParameterError
from mantis_runbook.phases import runner
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.performance import measure as performance
from mantis_runbook.rehearsal.performance import owner_scripts, repertoire, replay, scenarios
from mantis_runbook.rehearsal.performance.gate import Gate
from mantis_runbook.runs.journal import Journal
from mantis_runbook.runs.summary import read as summarised
from mantis_runbook.settings import Environment
from mantis_runbook.watch import application_load

DEVELOPMENT, STAGING, PRODUCTION = (
    settings.environment(one) for one in ("development", "staging", "production")
)
LIMITS = DEVELOPMENT.performance.model_copy(
    update={"sessions": 4, "rounds": 2, "draws": 1, "counted": 2}
)
QUICK = DEVELOPMENT.model_copy(update={"performance": LIMITS})

#: An installation of another history: a view with another column, no status of tickets that our
#: scenario knows.
FOREIGN = "ALTER VIEW v_organization_overview RENAME COLUMN org_id TO id"

#: A database where none of our scenarios runs.
STRANGE = "ALTER TABLE profile RENAME COLUMN org_id TO organisation"


def execute(target: Target, *texts: str) -> None:
    with psycopg.connect(**target.parameters, autocommit=True) as connection:
        for text in texts:
            connection.execute(text.encode())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes the owner's folder of scripts, and names it."""

    def make(**scripts: str) -> Path:
        place = tmp_path / "owner"
        place.mkdir(exist_ok=True)
        for name, text in scripts.items():
            (place / f"{name}.sql").write_text(text)
        monkeypatch.setenv("MANTIS_RUNBOOK_WORKLOAD", str(place))
        return place

    return make


def played(
    target: Target, tmp_path: Path, environment: Environment = QUICK
) -> repertoire.Repertoire:
    return repertoire.for_the_gate(target, target, environment, tmp_path / "workload")


def measured(target: Target, found: repertoire.Repertoire, *changes: str) -> Gate:
    """The gate over this database against itself with these changes."""
    with replay.copied(target) as before:
        execute(target, *changes)
        return performance.measure(
            before,
            target,
            QUICK,
            scripts=found.scripts,
            touched=found.touched,
            wider_rows=found.source != "ours",
        )


# -- the owner's scripts: no database --------------------------------------------------------------

READS = (
    "\\set n random(1, 9)\nBEGIN;\nSELECT count(*) FROM customer WHERE name <> 'x:y' LIMIT"
    " :n;\nCOMMIT;\n"
)
UNDONE = "BEGIN;\nUPDATE customer SET name = name;\nROLLBACK;\n"


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        (
            "BEGIN;\nUPDATE customer SET name = name;\nCOMMIT;",
            2,
            "a write that is committed: UPDATE customer",
        ),
        (
            "SELECT 1;\n\nDELETE FROM customer;",
            3,
            "a write outside of BEGIN … ROLLBACK: DELETE customer",
        ),
        (
            "BEGIN;\nINSERT INTO currency VALUES (1);",
            2,
            "a write in a transaction that the script does not end",
        ),
        ("BEGIN;\nDROP TABLE customer;\nROLLBACK;", 2, "neither reads nor writes rows"),
        ("SELECT * INTO other FROM customer;", 1, "neither reads nor writes rows"),
        (
            "WITH gone AS (DELETE FROM customer RETURNING id) SELECT count(*) FROM gone;",
            1,
            "a write outside",
        ),
        (
            "BEGIN;\nSAVEPOINT s;\nDELETE FROM customer;\nROLLBACK TO SAVEPOINT s;\nCOMMIT;",
            3,
            "a write that is committed",
        ),
        ("DO $$ BEGIN DELETE FROM customer; END $$;", 1, "neither reads nor writes rows"),
        ("ABORT;\nBEGIN;\nDELETE FROM customer;\nEND;", 3, "a write that is committed"),
    ],
)
def test_a_script_that_leaves_changes_behind_is_refused_by_name_and_line(
    folder: Callable[..., Path], text: str, line: int, found: str
) -> None:
    place = folder(a_reader=READS, b_writer=text, c_undone=UNDONE)
    for environment in (STAGING, PRODUCTION):
        with pytest.raises(MigrationFileError) as refused:
            repertoire.refuse_unfit(environment)
        assert refused.value.what == f"{place / 'b_writer.sql'}:{line}"
        assert found in refused.value.found
    assert [path.stem for path in owner_scripts.read(place, DEVELOPMENT)] == [
        "a_reader",
        "b_writer",
        "c_undone",
    ]
    (place / "b_writer.sql").unlink()
    assert [path.stem for path in owner_scripts.read(place, PRODUCTION)] == ["a_reader", "c_undone"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1;\nSELEC 2;", r"bad\.sql:2: found syntax error"),
        ("SELECT 1;\n\\shell rm -rf /", r"bad\.sql.*line 2: found \\shell"),
        ("-- nothing\n", r"bad\.sql:1: found no statement"),
        ("SELECT '\udcff';", r"bad\.sql: found .*utf-8"),
    ],
)
def test_a_script_that_cannot_be_read_is_refused_in_every_environment(
    folder: Callable[..., Path], text: str, message: str
) -> None:
    place = folder(bad="")
    (place / "bad.sql").write_bytes(text.encode("utf-8", "surrogateescape"))
    for environment in (DEVELOPMENT, PRODUCTION):
        with pytest.raises(MigrationFileError, match=message):
            repertoire.refuse_unfit(environment)


def test_a_folder_that_is_empty_or_not_there_is_refused(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder()
    with pytest.raises(ParameterError, match="found no script in it"):
        repertoire.refuse_unfit(DEVELOPMENT)
    monkeypatch.setenv("MANTIS_RUNBOOK_WORKLOAD", "/nowhere")
    with pytest.raises(ParameterError, match="found no folder of that name"):
        repertoire.refuse_unfit(DEVELOPMENT)
    monkeypatch.delenv("MANTIS_RUNBOOK_WORKLOAD")
    repertoire.refuse_unfit(PRODUCTION)


def test_a_run_with_an_unfit_folder_ends_before_it_begins(
    project: Project, folder: Callable[..., Path]
) -> None:
    folder(writer="DELETE FROM customer;\n")
    named = ("--target", "NOBODY_IS_CONNECTED_TO", "--environment", "production")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOBODY_IS_CONNECTED_TO", "host=127.0.0.1 port=1 dbname=none")
        result = project.call("run", *named)
    assert result.exit_code == 2
    assert "writer.sql:1: found a write outside of BEGIN … ROLLBACK" in result.stderr
    assert not project.reports.exists() or not list(project.reports.iterdir())


# -- on servers ------------------------------------------------------------------------------------


def test_what_a_script_rolls_back_is_played_and_undone_within_it(
    database: Target, tmp_path: Path
) -> None:
    path = tmp_path / "undone.sql"
    path.write_text(
        "BEGIN;\nUPDATE supplier SET name = 'played';\nROLLBACK;\n"
        "SELECT 1 / (count(*) FILTER (WHERE name = 'played') = 0)::integer FROM supplier;\n"
    )
    with replay.opened(database) as connection:
        assert "public.supplier" in replay.tried(connection, scenarios.read(path), 1)
    changed = measured(database, repertoire.Repertoire("owner", "", (path,))).deterministic
    assert [one.statement for one in changed.changes] == [
        "undone:2 UPDATE supplier",
        "undone:4 SELECT supplier",
    ]
    assert changed.word == "passed"


def test_all_our_scenarios_run_on_the_baseline_and_know_no_quarter_by_heart(
    database: Target, tmp_path: Path
) -> None:
    execute(database, "DROP TABLE customer_interaction_2025_q3")
    found = played(database, tmp_path)
    assert (found.scripts, found.left_out, found.source) == (
        application_load.scenarios(),
        {},
        "ours",
    )
    assert "public.customer" in found.touched


def test_a_scenario_that_never_ran_is_left_out_and_one_that_the_migration_breaks_fails(
    database: Target, tmp_path: Path
) -> None:
    execute(database, FOREIGN)
    found = played(database, tmp_path)
    assert [path.stem for path in found.scripts] == ["customer_crud", "order_processing"]
    assert list(found.left_out) == ["analytics_queries"]
    assert (
        'SELECT v_organization_overview failed: column "org_id" does not exist'
        in found.left_out["analytics_queries"]
    )
    assert found.left_out["analytics_queries"] in str(found)
    with pytest.raises(Failed, match=r"customer_crud:\d+ .*failed.*\"sentiment\" does not exist"):
        measured(
            database, found, "ALTER TABLE customer_interaction RENAME COLUMN sentiment TO mood"
        )


@pytest.fixture
def foreign(database: Target) -> Iterator[Target]:
    """A database where none of our scenarios runs, with an application of its own that worked for a
    while.
    """
    application = (
        "CREATE ROLE application BYPASSRLS; GRANT ALL ON ALL TABLES IN SCHEMA public TO application"
    )
    writing = (
        "CREATE FUNCTION touch() RETURNS void LANGUAGE sql AS 'UPDATE supplier SET name = name'; "
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO application"
    )
    execute(
        database,
        STRANGE,
        "CREATE EXTENSION pg_stat_statements",
        "SELECT pg_stat_statements_reset()",
        application,
        writing,
    )
    with psycopg.connect(**database.parameters, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("SET ROLE application")
        for text, values in (
            (
                (
                    "SELECT c.name FROM customer AS c WHERE c.org_id = %s AND c.status = 'active'"
                    " ORDER BY c.name LIMIT 3"
                ),
                (ORG,),
            ),
            ("SELECT count(*) FROM customer WHERE id = ANY(%s::uuid[])", ([ORG],)),
            ("UPDATE supplier SET name = %s WHERE id = %s", ("Frieda Personal", ORG)),
            ("INSERT INTO customer (org_id, name) VALUES (%s, 'Frieda Personal')", (SOME,)),
            (
                "SELECT status, count(*) FROM customer WHERE name <> %s GROUP BY status",
                ("Frieda Personal",),
            ),
            ("SELECT touch()", ()),
            ("SELECT * FROM get_org_metrics(%s)", (SOME,)),
            ("SELECT name FROM customer FOR UPDATE", ()),
            ("SELECT interval '1 day', name FROM customer", ()),
        ):
            org = connection.execute("SELECT id::text FROM organization LIMIT 1").fetchone()
            connection.execute(text.encode(), [org[0] if one is SOME else one for one in values])
    yield database
    execute(database, "DROP OWNED BY application; DROP ROLE application")


ORG, SOME = "00000000-0000-0000-0000-000000000000", object()


def test_learnt_statements_are_played_where_ours_do_not_run_with_nothing_of_the_data_in_the_scripts(
    foreign: Target, tmp_path: Path
) -> None:
    found = played(foreign, tmp_path)
    assert found.source == "learnt"
    texts = {path.stem: path.read_text() for path in found.scripts}
    kinds = sorted(re.sub(r"learnt_\d+_", "", name) for name in texts)
    assert kinds == [
        "insert_customer",
        "select",
        "select",
        *["select_customer"] * 4,
        "select_organization",
        "update_supplier",
    ]
    (unprepared,) = [reason for name, reason in found.left_out.items() if name.startswith("learnt")]
    assert "syntax error" in unprepared, "INTERVAL takes no parameter"
    (metrics,) = [text for text in texts.values() if "get_org_metrics" in text]
    assert "FROM organization\n    ORDER BY id" in metrics
    assert "Frieda" not in "".join(texts.values())
    assert all('SET LOCAL ROLE "application"' in text for text in texts.values())


def test_the_load_plays_nothing_learnt_that_writes(foreign: Target, tmp_path: Path) -> None:
    before = _rows(foreign)
    found = repertoire.for_the_load(
        foreign, DEVELOPMENT, tmp_path / "load", application_load.scenarios()
    )
    assert found.source == "learnt"
    assert found.scripts
    assert all("transaction_read_only = on" in path.read_text() for path in found.scripts)
    assert not any("update" in path.stem or "insert" in path.stem for path in found.scripts)
    with application_load.running(
        foreign, clients=2, rate=50.0, scripts=lambda: found.scripts
    ) as load:
        load.least_s = 2
    assert load.result.processed > 10
    again = repertoire.for_the_load(
        foreign, DEVELOPMENT, tmp_path / "again", application_load.scenarios()
    )
    assert len(again.scripts) == len(found.scripts), "what we played is not learnt again"
    assert (load.result.failed, load.result.errors) == (0, ())
    assert _rows(foreign) == before


def _rows(target: Target) -> list[Any]:
    with connect(target, "test") as connection:
        return connection.execute(
            "SELECT md5(string_agg(s::text, '' ORDER BY id)) FROM supplier AS s"
        ).fetchall()


def test_wider_rows_are_no_fault_of_a_learnt_statement_that_reads_them(
    foreign: Target, tmp_path: Path
) -> None:
    execute(
        foreign,
        "INSERT INTO customer (org_id, name) SELECT id, 'c' || n FROM organization,"
        " generate_series(1, 500) AS n",
    )
    found = played(foreign, tmp_path)
    reading = tuple(path for path in found.scripts if "GROUP BY" in path.read_text())
    wider = "ALTER TABLE customer ADD COLUMN currency text NOT NULL DEFAULT repeat('x', 60)"
    gate = measured(foreign, replace(found, scripts=reading), wider, "VACUUM FULL customer")
    (change,) = gate.deterministic.changes
    assert gate.deterministic.word == "passed", gate.deterministic.summary
    assert "it reads public.customer" in change.accepted
    assert change.after.blocks > 1.05 * change.before.blocks


def test_an_owner_s_folder_goes_before_ours_and_a_script_that_does_not_run_is_left_out(
    database: Target, folder: Callable[..., Path], tmp_path: Path
) -> None:
    place = folder(reads=READS, undone=UNDONE, gone="SELECT * FROM gone;\n")
    (place / "accepted_costs.toml").write_text(
        '[[accepted]]\nmigration = "001"\nstatement = "undone UPDATE customer"\nreason = "we'
        ' know"\nblocks = 9\n'
    )
    found = played(database, tmp_path)
    assert (found.source, [path.stem for path in found.scripts]) == ("owner", ["reads", "undone"])
    assert 'relation "gone" does not exist' in found.left_out["gone"]
    assert [one.reason for one in found.accepted(["001"])] == ["we know"]


def test_a_value_of_the_data_is_not_told_with_the_error_that_it_caused(
    database: Target, folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder(wrong="SELECT name::uuid FROM (SELECT 'Frieda Personal'::text AS name) AS customer;\n")
    (reason,) = played(database, tmp_path).left_out.values()
    assert reason.endswith("invalid input syntax for type uuid")


def test_a_function_that_writes_is_no_reading_script_where_the_load_may_not_write(
    database: Target, folder: Callable[..., Path], tmp_path: Path
) -> None:
    execute(
        database,
        "CREATE FUNCTION touch() RETURNS void LANGUAGE sql AS 'UPDATE supplier SET name = name'",
    )
    folder(reads=READS, sly="SELECT touch();\n")
    loads = [repertoire.for_the_load(database, one, tmp_path, ()) for one in (STAGING, DEVELOPMENT)]
    assert [[path.stem for path in one.scripts] for one in loads] == [["reads"], ["reads", "sly"]]
    assert "read-only transaction" in loads[0].left_out["sly"]


def test_where_nothing_can_be_played_there_is_no_load_and_it_is_named(
    database: Target, tmp_path: Path
) -> None:
    execute(database, STRANGE)
    run = SimpleNamespace(
        target=database,
        environment=DEVELOPMENT,
        folder=tmp_path,
        journal=Journal(tmp_path),
        identity=None,
    )
    programme = runner._Programme(run)  # type: ignore[arg-type]
    with application_load.running(
        database, clients=2, rate=20.0, scripts=programme.scripts
    ) as load:
        wait_for(
            lambda: any(one.event == "load.workload" for one in run.journal.entries()),
            "the load to look",
        )
        load.least_s = 600
    assert load.spells == []
    (entry,) = [one for one in run.journal.entries() if one.event == "load.workload"]
    assert set(entry.facts["left_out"]) == {
        "analytics_queries",
        "customer_crud",
        "order_processing",
    }
    named = [one.what for one in summarised(tmp_path).deviations if "not in the load" in one.what]
    assert len(named) == 3


NAMES = {"target": "TEST_DSN", "environment": "development"}


def test_a_rehearsal_is_measured_by_the_owner_s_scripts_and_names_those_that_never_ran(
    project: Project, prepared: Target, folder: Callable[..., Path]
) -> None:
    folder(reads=READS, undone=UNDONE, gone="SELECT * FROM gone;\n")
    project.limit("in_rehearsal", "true")
    opened = notebook.open("1", NAMES)
    found = [getattr(opened, verb)() for verb in ("precheck", "back_up", "prove", "rehearse")][-1]
    assert found.verdict == "passed"
    assert set(found.facts["performance_counts"]) == {
        "reads:3 SELECT count",
        "reads:4 COMMIT",
        "undone:2 UPDATE customer",
    }
    assert found.facts["workload_left_out"] == {
        "gone": 'gone:1 SELECT gone failed: relation "gone" does not exist'
    }
    assert "1 script left out (gone: " in found.summary


@pytest.mark.parametrize(("decides", "ends"), [("false", "warned"), ("true", "inconclusive")])
def test_a_database_whose_workload_nobody_knows_is_warned_of_or_not_judged_where_the_gate_decides(
    project: Project, prepared: Target, decides: str, ends: str
) -> None:
    for path in (project.home / "sql" / "workload").glob("*.sql"):
        path.write_text("SELECT * FROM gone;\n")
    project.limit("in_rehearsal", "true")
    project.limit("timed_decides", decides)
    opened = notebook.open("1", NAMES)
    for verb in ("precheck", "back_up", "prove"):
        getattr(opened, verb)()
    if ends == "inconclusive":
        with pytest.raises(
            Inconclusive, match=r"no workload is known for this database.*MANTIS_RUNBOOK_WORKLOAD"
        ):
            opened.rehearse()
        assert ask(prepared, "SELECT to_regclass('api_key')") is None
    else:
        found = opened.rehearse()
        assert found.verdict == "warned"
        assert "MANTIS_RUNBOOK_WORKLOAD" in found.advice
        assert set(found.facts["workload_left_out"]) == {
            "analytics_queries",
            "customer_crud",
            "order_processing",
        }
