"""The performance gate: what it catches, what it leaves alone, and that its counts repeat to the
digit.

On data of a quarter of the full amount: in tables of a few blocks an index makes no difference.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from mantis_runbook import sandbox, settings
from mantis_runbook.backup import fingerprint
from mantis_runbook.errors import Failed, MigrationFileError, ParameterError, Refused
from mantis_runbook.postgres import statements
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.performance import block_counts, replay, scenarios
from mantis_runbook.rehearsal.performance import measure as performance
from mantis_runbook.rehearsal.performance.block_counts import Count, Counted
from mantis_runbook.rehearsal.performance.gate import Deterministic, Gate, Timed
from mantis_runbook.rehearsal.performance.intervals import Interval
from mantis_runbook.rehearsal.performance.measure import Accepted
from mantis_runbook.rehearsal.performance.scenarios import Assignment
from mantis_runbook.rehearsal.performance.timings import Timings, Witness
from mantis_runbook.settings import Environment, PerformanceLimits
from mantis_runbook.watch import application_load
from tests.conftest import SEED, fresh_database

LIMITS = PerformanceLimits(sessions=4, rounds=2, draws=1, timed_decides=False)

SLOW = """
    CREATE FUNCTION public.think() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END';
    CREATE TRIGGER think AFTER INSERT OR UPDATE ON customer
        FOR EACH ROW EXECUTE FUNCTION public.think();
"""
SUPERFLUOUS = """
    CREATE INDEX superfluous_1 ON customer (org_id, name, id);
    CREATE INDEX superfluous_2 ON customer (phone, email);
    CREATE INDEX superfluous_3 ON customer (created_at, updated_at);
"""
DROPPED = "DROP INDEX support_ticket_customer_id_idx"


# -- scenarios: no database ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [*application_load.scenarios(), *application_load.scenarios("workload/enhanced")],
    ids=lambda p: p.stem,
)
def test_each_scenario_of_the_project_is_understood_statement_by_statement(path: Path) -> None:
    scenario = scenarios.read(path)
    text = path.read_text().splitlines()
    for statement in scenario.statements:
        assert text[statement.line - 1].startswith(statement.text.splitlines()[0])
    bound = [one.text for one in replay.steps(scenario, 1)]
    assert all(len(statements.parse_statements(one)) == 1 for one in bound)
    assert len({one.name for one in scenario.statements}) == len(scenario.statements)


def test_the_same_seed_binds_the_same_values_and_another_seed_others() -> None:
    scenario = scenarios.read(application_load.scenarios()[0])
    first, again, other = ([one.text for one in replay.steps(scenario, seed)] for seed in (1, 1, 2))
    assert first == again != other


def test_a_script_is_cut_where_statements_end_and_nowhere_else() -> None:
    scenario = scenarios.parse(
        "s",
        "-- a; comment\n"
        "\\set a random(1, 10)\n"
        "SELECT ';', \"semi;colon\", $$;$$, E'\\';' /* ; */ , :a;\n"
        "SELECT 1 AS one\n"
        "\\gset got_\n"
        "BEGIN; UPDATE t SET x = 1;\n"
        "END;",
    )
    assert scenario.items[0] == Assignment("a", "random(1, 10)", 2)
    assert [(one.line, one.kind, one.gset) for one in scenario.statements] == [
        (3, "plain", None),
        (4, "plain", "got_"),
        (6, "begin", None),
        (6, "plain", None),
        (7, "commit", None),
    ]


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("SELECT :n::bigint", "SELECT 7::bigint"),
        ("SELECT ':n', \":n\", x::text, :n", "SELECT ':n', \":n\", x::text, 7"),
        ("SELECT 1 - :minus", "SELECT 1 - (-3)"),
        ("SELECT :word", "SELECT 'it''s'"),
        ("SELECT '{\"a\": \"b\"}', time '10:30'", "SELECT '{\"a\": \"b\"}', time '10:30'"),
    ],
)
def test_variables_are_bound_outside_of_quotes_only(text: str, bound: str) -> None:
    assert scenarios.bind(text, {"n": 7, "minus": -3, "word": "it's"}) == bound


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7", 7),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("2 + 3 * :n", 17),
        ("(2 + 3) * 2", 10),
        ("7.0 / 2", 3.5),
    ],
)
def test_expressions_are_evaluated_as_pgbench_does(expression: str, value: float) -> None:
    assert scenarios.evaluate(Assignment("x", expression, 1), {"n": 5}, random.Random(1)) == value


def test_random_lies_between_its_bounds_both_included() -> None:
    draw = random.Random(1)
    assert {
        scenarios.evaluate(Assignment("x", "random(1, 3)", 1), {}, draw) for _ in range(50)
    } == {1, 2, 3}


@pytest.mark.parametrize(
    "expression",
    ["random_zipfian(1, 2, 3)", "1 +", ":unset", "1 / 0", "__import__('os')", "'text'"],
)
def test_an_expression_that_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(MigrationFileError, match="expected numbers, known variables"):
        scenarios.evaluate(Assignment("x", expression, 1), {}, random.Random(1))


@pytest.mark.parametrize("text", ["\\sleep 1 s\n", "\\set a\n", "SELECT 1; ;\n", "\\if true\n"])
def test_a_command_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(MigrationFileError):
        scenarios.parse("s", text)


def test_a_variable_without_a_value_is_refused() -> None:
    with pytest.raises(MigrationFileError, match="variable :unset"):
        scenarios.bind("SELECT :unset", {})


# -- verdicts: no database -------------------------------------------------------------------------


def counted(large: tuple[str, ...] = (), inexact: tuple[str, ...] = (), **counts: Count) -> Counted:
    return Counted(
        {f"s:1 {name}": count for name, count in counts.items()}, 1, inexact, frozenset(large), 2
    )


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        (Count(100, 5, 1000), Count(105, 5, 1050), ""),
        (Count(100, 5, 1000), Count(106, 5, 1000), "visits 106 blocks, 100 before"),
        (Count(10, 5, 1000), Count(12, 5, 1000), ""),
        (Count(100, 5, 10_000), Count(100, 5, 10_501), "writes 10,501 bytes of log, 10,000 before"),
        (Count(100, 5, 1000), Count(100, 5, 1128), ""),
        (Count(100, 5, 1000), Count(50, 1, 100), ""),
        (
            Count(plans=("Index Scan on customer by i",)),
            Count(plans=("Seq Scan on customer",)),
            "reads customer from end to end, by an index before",
        ),
        (Count(plans=("Index Scan on small by i",)), Count(plans=("Seq Scan on small",)), ""),
        (
            Count(plans=("Sort\n  Seq Scan on customer",)),
            Count(plans=("Seq Scan on customer",)),
            "",
        ),
    ],
)
def test_a_statement_that_costs_more_is_named_with_both_figures(
    before: Count, after: Count, finding: str
) -> None:
    found = performance.compare(
        counted(INSERT=before), counted(("customer",), INSERT=after), LIMITS
    )
    assert found.changes[0].finding == finding
    assert found.word == ("failed" if finding else "passed")


@pytest.mark.parametrize(
    ("after", "word"),
    [
        ([(100, 1000)] * 5, "passed"),
        ([(100, 5056), *[(100, 1000)] * 4], "passed"),  # an index page that split
        (
            [(110, 1000), (112, 1000), *[(100, 1000)] * 3],
            "passed",
        ),  # a new block or two at the end of a table
        ([(106, 1000)] * 3 + [(100, 1000)] * 2, "failed"),
        ([(100, 1200)] * 3 + [(100, 1000)] * 2, "failed"),
        (
            [(500, 1000), *[(100, 1000)] * 4],
            "failed",
        ),  # one organisation for which the plan is a bad one
    ],
)
def test_the_median_execution_decides_and_all_together_where_one_is_very_dear(
    after: list[tuple[int, int]], word: str
) -> None:
    before, now = (
        Count(sum(blocks for blocks, _ in each), 5, sum(log for _, log in each), each=tuple(each))
        for each in ([(100, 1000)] * 5, after)
    )
    assert performance.compare(counted(INSERT=before), counted(INSERT=now), LIMITS).word == word


def test_an_accepted_cost_is_reported_with_its_reason_and_fails_beyond_what_was_accepted() -> None:
    accepted = [Accepted("002", "s INSERT", "a new reference", blocks=1.5)]
    words = []
    for blocks in (104, 140, 160):
        found = performance.compare(
            counted(INSERT=Count(100)), counted(INSERT=Count(blocks)), LIMITS, accepted
        )
        words.append((found.changes[0].word, found.changes[0].finding))
    assert words == [
        ("pass", ""),
        ("warn", "accepted: a new reference"),
        ("fail", "visits 160 blocks, 100 before"),
    ]


def test_the_accepted_costs_of_the_project_name_statements_that_there_are() -> None:
    versions = [path.name[:3] for path in (settings.sql() / "migrations").glob("*.sql")]
    names = {
        performance.LINE.sub("", one.name, count=1)
        for path in application_load.scenarios()
        for one in scenarios.read(path).statements
    }
    found = performance.accepted_costs(versions)
    assert found
    timed = {path.stem for path in application_load.scenarios()}
    assert {one.statement for one in found if not one.time} <= names
    assert {one.statement for one in found if one.time} <= timed
    assert all(one.reason and max(one.blocks, one.wal, one.time) > 1 for one in found)
    assert performance.accepted_costs(["no such version"]) == ()


def test_accepted_costs_that_cannot_be_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANTIS_RUNBOOK_HOME", str(tmp_path))
    (tmp_path / "sql" / "workload").mkdir(parents=True)
    (tmp_path / "sql" / "workload" / "accepted_costs.toml").write_text(
        "[[accepted]]\nstatment = 'x'"
    )
    with pytest.raises(ParameterError, match="statment"):
        performance.accepted_costs(["001"])


def timed(
    after: float, control: float = 1.0, spread: float = 0.001, control_limit: float = 0.02
) -> Timed:
    """Timings of one scenario whose neighbours differ by exactly this."""
    noise = np.exp(spread * np.linspace(-1, 1, 8))[:, None, None, None]
    times = (
        np.ones((8, 3, 2, 3))
        * np.array([1.0, control, after])
        * np.where(np.arange(3) == 2, noise, 1)
    )
    return performance.judge(
        Timings({"s": times}, {"s": ("s:1 a", "s:2 b")}),
        Witness(missing="not loaded"),
        LIMITS.model_copy(update={"control": control_limit}),
    )


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (timed(1.0), "passed"),
        (timed(1.2), "failed"),
        (timed(1.04, spread=0.2), "inconclusive"),
        (timed(1.0, control=1.03), "inconclusive"),
        (timed(1.06, control=1.03), "inconclusive"),
        (timed(1.2, control=1.03), "failed"),
        (timed(1.0, control=1.03, control_limit=0.05), "passed"),
    ],
    ids=[
        "same",
        "slower",
        "wide bounds",
        "noisy",
        "slower, but noise can feign it",
        "slower than noise can feign",
        "allowed noise",
    ],
)
def test_the_timed_part_passes_fails_or_leaves_it_open(found: Timed, word: str) -> None:
    assert found.word == word


def test_a_machine_that_differs_from_itself_is_called_too_noisy() -> None:
    assert (
        "control 3.0% off: this machine is too noisy to judge to 2%"
        in timed(1.0, control=1.03).summary
    )


@pytest.mark.parametrize(
    ("blocks", "after", "in_development", "in_production"),
    [
        (100, 1.0, "passed", "passed"),
        (200, 1.0, "failed", "failed"),
        (100, 1.2, "passed", "failed"),
        (200, 1.2, "failed", "failed"),
    ],
)
def test_development_goes_by_the_counts_alone_and_production_by_both(
    blocks: int, after: float, in_development: str, in_production: str
) -> None:
    gate = Gate(
        performance.compare(counted(a=Count(100)), counted(a=Count(blocks)), LIMITS), timed(after)
    )
    assert gate.combined(settings.environment("development")) == in_development
    assert gate.combined(settings.environment("staging")) == in_production
    assert gate.combined(settings.environment("production")) == in_production


def test_what_costs_more_than_the_strategy_allows_and_passed_all_the_same_is_named() -> None:
    accepted = [Accepted("002", "s INSERT", "a new reference", blocks=1.5)]
    dearer = performance.compare(
        counted(INSERT=Count(100)), counted(INSERT=Count(140)), LIMITS, accepted
    )
    same = performance.compare(
        counted(INSERT=Count(100)), counted(INSERT=Count(100)), LIMITS, accepted
    )
    assert Gate(same, timed(1.0)).beyond == ()
    [cost] = Gate(dearer, timed(1.0)).beyond
    assert cost == {
        "what": "s:1 INSERT",
        "before": "100 blocks",
        "after": "140 blocks",
        "ratio": 1.4,
        "reason": "a new reference",
    }
    [slower] = Gate(same, timed(1.2)).beyond
    assert slower["what"] == "time of s"
    assert slower["reason"].startswith("ratio 1.2")
    assert Gate(dearer, timed(1.0)).counts["s:1 INSERT"]["blocks"][:2] == (100, 140)


def test_nothing_counted_is_no_pass() -> None:
    assert Deterministic((), 0).word == "inconclusive"


@pytest.mark.parametrize(
    "limits",
    [
        {"threshold": 0.9},
        {"control": -0.02},
        {"sessions": "many"},
        {"rounds": 1},
        {"tolerance": 0},
        {"extra": 1},
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        PerformanceLimits(**limits)


@pytest.mark.parametrize(
    ("figures", "settled"),
    [
        ([Count(1), Count(1)], (Count(1), True)),
        ([Count(1), Count(2), Count(1)], (Count(1), True)),
        ([Count(1), Count(2)], (Count(1), False)),
        ([Count(1, full_pages=3), Count(1, full_pages=3)], (Count(1, full_pages=3), False)),
        ([Count(9, full_pages=3), Count(9, full_pages=3), Count(1), Count(1)], (Count(1), True)),
    ],
)
def test_a_figure_holds_when_it_came_twice_without_a_checkpoint_in_it(
    figures: list[Count], settled: tuple[Count, bool]
) -> None:
    assert block_counts._settled(figures) == settled


# -- on servers ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def workload_template(server: Server) -> str:
    """The name of a levelled baseline with enough data for an index to matter."""
    name = "workload_baseline"
    parameters = sandbox.clone(server, "template0", name)
    sandbox.load_baseline(parameters, scale=0.25, seed=SEED)
    replay.level(Target("TEMPLATE", "variable", parameters))
    return name


@pytest.fixture
def copy(server: Server, workload_template: str) -> Iterator[Callable[..., Target]]:
    """Makes databases: the workload's baseline with what is given done to it."""
    with ExitStack() as databases:

        def make(*texts: str) -> Target:
            parameters = databases.enter_context(fresh_database(server, workload_template))
            with psycopg.connect(**parameters, autocommit=True) as connection:
                for text in texts:
                    connection.execute(text.encode())
            return Target("TEST_DSN", "variable", parameters)

        yield make


@pytest.fixture
def development() -> Environment:
    return settings.environment("development").model_copy(update={"performance": LIMITS})


def count(target: Target, *names: str, draws: int = 1) -> Counted:
    chosen = [path for path in application_load.scenarios() if not names or path.stem in names]
    return block_counts.count(
        target, [scenarios.read(path) for path in chosen], seed=SEED, draws=draws, timeout_s=60
    )


def scenario(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.sql"
    path.write_text(text)
    return path


def test_the_counts_of_two_runs_and_of_two_copies_are_the_same_to_the_digit(
    copy: Callable[..., Target],
) -> None:
    first = copy()
    counts = [count(one, draws=2) for one in (first, first, copy())]
    assert [one.inexact for one in counts] == [(), (), ()]
    assert counts[0].counts == counts[1].counts == counts[2].counts
    assert sum(one.wal_bytes for one in counts[0].counts.values()) > 10_000


def test_checkpoints_while_it_counts_do_not_get_into_the_figures(
    own_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = own_server(full_page_writes="on")
    target = Target("TEST_DSN", "variable", sandbox.clone(server, "template0", "checkpointed"))
    with psycopg.connect(**target.parameters, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n integer)"
        )
        connection.execute("INSERT INTO t (n) SELECT generate_series(1, 20000)")
    replay.level(target)
    path = scenario(
        tmp_path,
        "INSERT INTO t (n) SELECT generate_series(1, 50);\nUPDATE t SET n = 0 WHERE n = 7;\n",
    )

    def counted_once() -> Counted:
        return block_counts.count(target, [scenarios.read(path)], seed=1, draws=1, timeout_s=10)

    quiet = counted_once()
    passes = itertools.count(1)
    one_pass = block_counts._counted_play

    def disturbed(connection: Connection, *rest: Any) -> dict[str, Count]:
        if next(passes) > 2:
            return one_pass(connection, *rest)
        explained = block_counts._explained

        def after_a_checkpoint(*bound: Any) -> Any:
            with psycopg.connect(**server.parameters, autocommit=True) as other:
                other.execute("CHECKPOINT")
            return explained(*bound)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(block_counts, "_explained", after_a_checkpoint)
            found = one_pass(connection, *rest)
        assert any(figure.full_pages for figure in found.values())
        return found

    monkeypatch.setattr(block_counts, "_counted_play", disturbed)
    busy = counted_once()
    assert (quiet.inexact, busy.inexact) == ((), ())
    assert busy.counts == quiet.counts
    assert (quiet.passes, busy.passes) == (2, 4)


def test_counting_leaves_the_database_as_it_was(copy: Callable[..., Target]) -> None:
    target = copy()
    with connect(target, "test") as connection:
        before = fingerprint.take(connection)
    count(target)
    with connect(target, "test") as connection:
        assert fingerprint.take(connection) == before
        found = connection.execute(
            "SELECT count(*) FROM pg_database WHERE datname LIKE 'mantis_scratch_copy%%'", ()
        )
        assert found.fetchone() == (0,)


def test_a_dropped_index_is_caught_with_the_statement_and_its_figures(
    copy: Callable[..., Target],
) -> None:
    before, after = (count(one, "customer_crud") for one in (copy(), copy(DROPPED)))
    found = performance.compare(before, after, LIMITS)
    tickets = next(change for change in found.failed if "SELECT support_ticket" in change.statement)
    assert tickets.plan_changed
    assert (
        tickets.finding == f"visits {tickets.after.blocks} blocks, {tickets.before.blocks} before"
    )


def test_a_scan_of_a_large_table_is_caught_where_an_index_was_used(
    copy: Callable[..., Target], tmp_path: Path
) -> None:
    path = scenario(
        tmp_path,
        "SELECT * FROM support_ticket WHERE customer_id = (SELECT min(id::text)::uuid FROM"
        " customer);",
    )
    counts = [
        block_counts.count(one, [scenarios.read(path)], seed=1, draws=1, timeout_s=10)
        for one in (copy(), copy(DROPPED))
    ]
    (change,) = performance.compare(counts[0], counts[1], LIMITS).failed
    assert change.problems[-1] == "reads support_ticket from end to end, by an index before"


def test_three_superfluous_indexes_are_caught_at_the_insertion(copy: Callable[..., Target]) -> None:
    before, after = (count(one, "customer_crud") for one in (copy(), copy(SUPERFLUOUS)))
    found = performance.compare(before, after, LIMITS)
    insertion = next(change for change in found.failed if "INSERT customer" in change.statement)
    assert insertion.after.wal_records == insertion.before.wal_records + 3
    assert not insertion.plan_changed


def test_what_an_after_trigger_and_a_deferred_constraint_do_is_counted(
    copy: Callable[..., Target], tmp_path: Path
) -> None:
    target = copy(
        "CREATE TABLE parent (id integer PRIMARY KEY); INSERT INTO parent SELECT"
        " generate_series(1, 10)",
        "CREATE TABLE child (parent_id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE plain (parent_id integer)",
        "GRANT ALL ON parent, child, plain TO authenticated",
    )
    path = scenario(
        tmp_path,
        "BEGIN;\nINSERT INTO plain VALUES (1);\nCOMMIT;\n"
        "BEGIN;\nSET LOCAL ROLE authenticated;\nINSERT INTO child VALUES (1);\nCOMMIT;\n",
    )
    found = block_counts.count(target, [scenarios.read(path)], seed=1, draws=1, timeout_s=10).counts
    assert found["own:2 INSERT plain"].wal_records == found["own:6 INSERT child"].wal_records
    assert (found["own:3 COMMIT"].blocks, found["own:3 COMMIT"].wal_records) == (0, 0)
    assert found["own:7 COMMIT"].blocks > 0
    assert found["own:7 COMMIT"].wal_records == 1


def test_a_row_is_carried_from_statement_to_statement_by_gset(
    copy: Callable[..., Target], tmp_path: Path
) -> None:
    path = scenario(
        tmp_path,
        "INSERT INTO organization (name, slug) VALUES ('Räder', 'raeder') RETURNING id AS org,"
        " name\n\\gset new_\nSELECT 1 / count(*) FROM organization WHERE id = :new_org::uuid AND"
        " name = :new_name;\n",
    )
    found = block_counts.count(copy(), [scenarios.read(path)], seed=1, draws=1, timeout_s=10)
    assert not found.inexact
    assert len(found.counts) == 2


def test_a_slow_trigger_is_caught_by_the_timed_part(
    copy: Callable[..., Target], development: Environment
) -> None:
    customer_crud = [path for path in application_load.scenarios() if path.stem == "customer_crud"]
    gate = performance.measure(copy(), copy(SLOW), development, scripts=customer_crud)
    assert gate.timed.word == "failed"
    assert gate.timed.slower[0].scenario == "customer_crud"
    slowest = max(gate.timed.slower[0].statements.items(), key=lambda item: item[1].estimate)
    assert "customer" in slowest[0]
    assert gate.deterministic.word == "passed"


def test_a_restored_copy_is_no_regression_and_the_gate_says_by_what_it_counted(
    copy: Callable[..., Target], development: Environment
) -> None:
    told: list[str] = []
    gate = performance.measure(copy(), copy(), development, watch=told.append)
    assert gate.deterministic.word == "passed"
    assert all(change.is_same for change in gate.deterministic.changes)
    assert gate.timed.word != "failed"
    assert gate.combined(development) == "passed"
    assert "pg_stat_statements is not available" in gate.summary(development)
    assert "counted by EXPLAIN alone" in gate.summary(development)
    assert len(told) == 3
    assert {row["verdict"] for row in gate.records} == {"pass"}
    assert [row["scenario"] for row in gate.scenario_records] == [
        path.stem for path in application_load.scenarios()
    ]


def test_where_it_is_there_pg_stat_statements_bears_witness(
    copy: Callable[..., Target], development: Environment
) -> None:
    extension = "CREATE EXTENSION pg_stat_statements"
    chosen = [path for path in application_load.scenarios() if path.stem == "order_processing"]
    witness = performance.measure(
        copy(extension), copy(extension), development, scripts=chosen
    ).timed.witness
    assert not witness.missing
    assert witness.blocks == pytest.approx(1, abs=0.1)
    assert witness.wal_bytes == pytest.approx(1, abs=0.3)


def test_dead_space_is_reported_and_not_taken_for_a_dearer_statement(
    copy: Callable[..., Target], development: Environment
) -> None:
    churn = "UPDATE purchase_order SET notes = notes"
    chosen = [path for path in application_load.scenarios() if path.stem == "order_processing"]
    quiet = "ALTER TABLE purchase_order DISABLE TRIGGER USER"
    loud = "ALTER TABLE purchase_order ENABLE TRIGGER USER"
    gate = performance.measure(copy(), copy(quiet, churn, loud), development, scripts=chosen)
    assert [one.table for one in gate.growth] == ["public.purchase_order"]
    assert gate.growth[0].after > 1.5 * gate.growth[0].before
    assert gate.growth[0].compact == gate.growth[0].before
    assert gate.deterministic.word == "passed"
    assert "Tables of another size: public.purchase_order" in gate.summary(development)


def test_a_statement_that_no_longer_runs_is_named(
    copy: Callable[..., Target], development: Environment
) -> None:
    with pytest.raises(Failed, match=r"customer_crud:\d+ SELECT customer failed.*lifetime_value"):
        performance.measure(
            copy(),
            copy("ALTER TABLE customer RENAME lifetime_value TO worth"),
            development,
            scripts=[path for path in application_load.scenarios() if path.stem == "customer_crud"],
        )


def test_a_database_that_others_work_in_is_refused(copy: Callable[..., Target]) -> None:
    target = copy()
    with connect(target, "somebody else"), pytest.raises(Refused, match="no other session in it"):
        count(target)


def test_a_role_that_may_not_make_databases_is_refused(copy: Callable[..., Target]) -> None:
    target = copy("DROP ROLE IF EXISTS no_maker", "CREATE ROLE no_maker LOGIN")
    poor = replace(target, parameters=target.parameters | {"user": "no_maker"})
    with pytest.raises(Refused, match="a role with CREATEDB"), replay.copied(poor):
        pass


def test_the_control_is_the_machine_against_itself(
    copy: Callable[..., Target], development: Environment
) -> None:
    chosen = [path for path in application_load.scenarios() if path.stem == "order_processing"]
    gate = performance.measure(
        copy(), copy(SLOW.replace("customer", "purchase_order")), development, scripts=chosen
    )
    one = gate.timed.scenarios[0]
    assert one.ratio.estimate > one.control.estimate + 0.2
    assert isinstance(one.control, Interval)


def test_a_statement_is_timed_over_all_the_users_it_is_executed_for() -> None:
    times = np.ones((4, 2, 4, 3))
    times[:, :, 2, 2] = 3  # the first statement, for the second user, afterwards
    names = ("s:1 a", "s:2 b", "s:1 a", "s:2 b")
    found = performance.judge(
        Timings({"s": times}, {"s": names}), Witness(missing="not loaded"), LIMITS
    )
    assert {name: one.estimate for name, one in found.scenarios[0].statements.items()} == {
        "s:1 a": 2,
        "s:2 b": 1,
    }
    assert found.scenarios[0].ratio.estimate == pytest.approx(1.5)
