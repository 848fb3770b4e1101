"""Migration 007 on real servers: audit_log becomes partitioned, and one table again, while the
application writes to it.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from advanced import (
    acting,
    another,
    broken_steps,
    carry_out,
    found,
    migrated,
    one,
    organization,
    person,
    script,
    steps,
    template,
)
from conftest import fresh_database
from workbench import Bench, beside

from mantis_runbook.checks import named_checks
from mantis_runbook.engine import ledger
from mantis_runbook.engine.results import Applied
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

MIGRATION = "007"

BREAKS = [
    (
        "ALTER TABLE audit_log DETACH PARTITION audit_log_history",
        "audit_log_history is not the default partition",
    ),
    (
        "ALTER TABLE ONLY audit_log ALTER COLUMN timestamp DROP DEFAULT",
        "columns of audit_log differ from before: timestamp",
    ),
    (
        "ALTER TABLE audit_log ALTER COLUMN timestamp DROP DEFAULT",
        "columns of audit_log missing or different: timestamp",
    ),
    (
        "COMMENT ON COLUMN audit_log.ip_address IS NULL",
        "columns of audit_log differ from before: ip_address",
    ),
    (
        "ALTER TABLE audit_log DROP CONSTRAINT audit_log_org_id_fkey",
        "audit_log has no foreign key on: org_id",
    ),
    (
        "ALTER TABLE audit_log_history ADD CONSTRAINT more CHECK (action IS NOT NULL)",
        "rules of audit_log differ from before: more",
    ),
    (
        "ALTER TABLE audit_log_history DROP CONSTRAINT audit_log_dated_before_its_partitions",
        "nothing proves what audit_log_history holds",
    ),
    (
        "DROP POLICY audit_log_of_own_organization ON audit_log",
        "policies of audit_log differ from before",
    ),
    (
        "ALTER POLICY audit_log_of_own_organization ON audit_log USING (true)",
        "policies of audit_log differ from before",
    ),
    (
        "GRANT INSERT ON audit_log TO authenticated",
        "rights on audit_log differ from before: authenticated",
    ),
    (
        "REVOKE SELECT ON audit_log FROM authenticated",
        "rights on audit_log differ from before: authenticated",
    ),
    (
        "ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY",
        "owner, row-level security or comment of audit_log differ",
    ),
    (
        "DROP INDEX audit_log_all_user_id_timestamp_idx; CREATE"
        " INDEX audit_log_user_id_timestamp_idx ON audit_log_history (user_id, timestamp DESC)",
        "without_its_like audit_log_user_id_timestamp_idx",
    ),
    (
        "ALTER TABLE audit_log DETACH PARTITION audit_log_later",
        "partition audit_log_later, found does not reach",
    ),
    ("CREATE INDEX later ON ONLY audit_log (action)", "found no index of later"),
    (
        "GRANT SELECT ON audit_log_later TO authenticated",
        "audit_log_later, found open to authenticated",
    ),
    (
        "ALTER TABLE audit_log_history ADD CHECK (timestamp IS NOT NULL)",
        "entries of every time are taken",
    ),
    (
        "DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || part FROM partition_bounds('audit_log')"
        " ORDER BY low OFFSET 1 LIMIT 1); END $$",
        "audit_log: a gap before",
    ),
    (
        "DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || string_agg(part::text, ', ')"
        " FROM partition_bounds('audit_log') WHERE isfinite(high)); END $$",
        "audit_log ends at no time",
    ),
    (
        "ALTER TABLE audit_log DETACH PARTITION audit_log_history",
        "audit_log, found no default partition",
    ),
]

#: What would stay with the old table, and how the check names it.
DEPENDENTS = [
    ("CREATE VIEW theirs AS SELECT count(*) FROM audit_log", "view theirs"),
    ("CREATE MATERIALIZED VIEW theirs AS SELECT count(*) FROM audit_log", "view theirs"),
    (
        "CREATE FUNCTION theirs() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*)"
        " FROM audit_log; END",
        "function theirs()",
    ),
    (
        "CREATE FUNCTION theirs(audit_log) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
        "function theirs(audit_log)",
    ),
    (
        "CREATE TABLE theirs (entry uuid REFERENCES audit_log)",
        "constraint theirs_entry_fkey on table theirs",
    ),
    (
        "CREATE TRIGGER theirs BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE"
        " FUNCTION set_updated_at()",
        "trigger theirs",
    ),
    ("CREATE RULE theirs AS ON DELETE TO audit_log DO ALSO SELECT 1", "rule theirs"),
    ("CREATE PUBLICATION theirs FOR TABLE audit_log", "publication theirs"),
    ("CREATE TABLE theirs () INHERITS (audit_log)", "inheritance of theirs"),
]


@pytest.fixture(scope="module")
def shared(server: Server, baseline_template: str) -> Iterator[Connection]:
    """With the whole of phase 4; tests leave nothing in it."""
    with migrated(server, baseline_template, "009") as connection:
        yield connection


@pytest.fixture
def bench(server: Server, baseline_template: str, tmp_path: Path) -> Iterator[Bench]:
    """Migrated up to 006, with the engine's ledger."""
    with fresh_database(server, template(server, baseline_template, "006")) as parameters:
        bench = Bench(Target("TEST_DSN", "variable", parameters), tmp_path / "none")
        with bench.connect() as connection:
            ledger.install(connection)
        yield bench


def partitioned() -> migration_files.Migration:
    return migration_files.find(migration_files.load(), MIGRATION)


def test_the_validation_names_what_was_broken(shared: Connection) -> None:
    assert found(shared, script(MIGRATION, "validate")) == ""
    for statement, message in BREAKS:
        with shared.transaction(force_rollback=True):
            shared.execute(statement)
            assert message in found(shared, script(MIGRATION, "validate")), statement


def test_every_step_of_the_validation_was_broken_once(shared: Connection) -> None:
    assert broken_steps(shared, MIGRATION, BREAKS) == steps(MIGRATION)


# -- under writers ---------------------------------------------------------------------------------


class Writers:
    """Sessions of an application that write audit entries in every way it knows, and remember what
    was acknowledged.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench, self.over = bench, threading.Event()
        self.ids: list[UUID] = []
        self.names: list[str] = []
        self.errors: list[str] = []
        self.times: list[list[float]] = []
        self.counts: set[int] = set()
        self.threads = [
            threading.Thread(target=work)
            for work in (
                lambda: self._insert("now()"),
                lambda: self._insert("now()"),
                lambda: self._insert("NULL"),
                lambda: self._insert("DEFAULT"),
                lambda: self._insert("'infinity'"),
                self._change,
                self._change,
                self._count,
            )
        ]

    def __enter__(self) -> Writers:
        for thread in self.threads:
            thread.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.5)
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _again_and_again(self, work: Any) -> None:
        times: list[float] = []
        self.times.append(times)
        with self.bench.connect() as session:
            while not self.over.is_set():
                try:
                    work(session)
                    times.append(time.monotonic())
                except psycopg.Error as error:
                    self.errors.append(str(error))

    def _insert(self, dated: str) -> None:
        def work(session: Connection) -> None:
            key = uuid4()
            session.execute(
                "INSERT INTO audit_log (id, action, table_name, timestamp) VALUES (%s, 'API_CALL',"
                f" 'load', {dated})",
                (key,),
            )
            self.ids.append(key)

        self._again_and_again(work)

    def _change(self) -> None:
        def work(session: Connection) -> None:
            name = f"load {uuid4()}"
            session.execute(
                "UPDATE supplier SET notes = %s WHERE id = (SELECT id FROM supplier ORDER BY"
                " random() LIMIT 1)",
                (name,),
            )
            self.names.append(name)

        self._again_and_again(work)

    def _count(self) -> None:
        """A reader who must see the entries dated ahead once each, at any moment."""

        def work(session: Connection) -> None:
            self.counts.add(
                one(session, "SELECT count(*) FROM audit_log WHERE table_name = 'ahead'")
            )

        self._again_and_again(work)

    def longest_stall_ms(self, until: float = float("inf")) -> float:
        """The longest time between two successes of a session; with `until`, of those before: the
        machine's noise.
        """
        return max(
            (b - a) * 1000
            for times in self.times
            for a, b in itertools.pairwise(time for time in times if time < until)
        )

    def check(self, connection: Connection) -> None:
        """Every acknowledged entry is there, once."""
        assert self.errors == []
        assert len(self.ids) > 50
        assert len(self.names) > 20
        assert connection.execute(
            "SELECT count(*), count(DISTINCT id) FROM audit_log WHERE table_name = 'load'"
        ).fetchone() == (len(self.ids), len(self.ids))
        missing = set(self.ids) - {
            row[0]
            for row in connection.execute("SELECT id FROM audit_log WHERE table_name = 'load'")
        }
        assert missing == set()
        written = connection.execute(
            "SELECT new_data ->> 'notes' FROM audit_log WHERE table_name = 'supplier' AND new_data"
            " ->> 'notes' LIKE 'load %'"
        ).fetchall()
        assert sorted(row[0] for row in written) == sorted(self.names)


def content(connection: Connection) -> tuple[int, Any]:
    """What is in audit_log but for what the load writes."""
    return connection.execute(
        "SELECT count(*), sum(hashtextextended(ROW(id, org_id, user_id, action, table_name,"
        " record_id, old_data, new_data, ip_address, user_agent, timestamp)::text, 7)) FROM"
        " audit_log WHERE table_name NOT IN ('load', 'supplier')"
    ).fetchone()


def told(what: str, writers: Writers, began: float, applied: Applied) -> None:
    """Reported, not asserted: a busy machine stalls by itself."""
    locked = {
        step.step: round(step.duration_ms) for step in applied.steps if "change names" in step.step
    }
    print(
        f"{what}: longest stall {writers.longest_stall_ms():.0f} ms,"
        f" {writers.longest_stall_ms(began):.0f} ms before it began;"
        f" {sum(step.lock_waits for step in applied.steps)} lock waits; {len(writers.ids)} entries;"
        f" {locked} ms"
    )


@contextmanager
def session(bench: Bench) -> Iterator[Connection]:
    with bench.connect(TimeZone="UTC") as connection:
        yield connection


def test_no_entry_is_lost_or_doubled_while_the_table_is_converted(bench: Bench) -> None:
    with session(bench) as connection:
        before = content(connection)
        with Writers(bench) as writers, bench.engine(step_deadline_s=60) as engine:
            began = time.monotonic()
            applied = engine.up(partitioned())
        writers.check(connection)
        assert content(connection) == before
        assert found(connection, script(MIGRATION, "validate")) == ""
        assert one(connection, "SELECT count(*) FROM audit_log_history WHERE timestamp IS NULL") > 0
        told("converting", writers, began, applied)


def test_no_entry_is_lost_doubled_or_out_of_sight_on_the_way_back(bench: Bench) -> None:
    with session(bench) as connection:
        start = catalog.snapshot(connection)
        with bench.engine(step_deadline_s=60) as engine:
            engine.up(partitioned())
        # As if quarters had passed: entries in each of them, and after them.
        connection.execute(
            "INSERT INTO audit_log (action, table_name, timestamp) SELECT 'API_CALL', 'ahead', low"
            " + n * interval '1 minute' FROM partition_bounds('audit_log'), generate_series(0, 999)"
            " AS n"
        )
        ahead = one(connection, "SELECT count(*) FROM audit_log WHERE table_name = 'ahead'")
        assert (
            ahead
            == 1000 * one(connection, "SELECT count(*) FROM partition_bounds('audit_log')")
            >= 2000
        )
        assert (
            one(connection, "SELECT count(*) FROM audit_log_history WHERE table_name = 'ahead'")
            == 0
        )
        before = content(connection)
        with Writers(bench) as writers, bench.engine(step_deadline_s=60) as engine:
            began = time.monotonic()
            applied = engine.rollback(partitioned())
        writers.check(connection)
        assert writers.counts == {ahead}
        assert content(connection) == before
        assert sum(step.rows for step in applied.steps) == ahead
        assert str(catalog.diff(start, catalog.snapshot(connection))).splitlines()[1:] == []
        told("the way back", writers, began, applied)


def test_a_way_back_that_was_cut_off_among_its_batches_goes_on(bench: Bench) -> None:
    with session(bench) as connection:
        carry_out(connection, script(MIGRATION))
        connection.execute(
            "INSERT INTO audit_log (action, table_name, timestamp) SELECT 'API_CALL', 'ahead', low"
            " FROM partition_bounds('audit_log'), generate_series(1, 100)"
        )
        ahead = one(connection, "SELECT count(*) FROM audit_log WHERE table_name = 'ahead'")
        carry_out(connection, script(MIGRATION, "rollback"), 1)
        connection.execute(
            "WITH moved AS (DELETE FROM audit_log_leftover WHERE id <="
            " '7fffffff-ffff-ffff-ffff-ffffffffffff' RETURNING *) INSERT INTO audit_log SELECT *"
            " FROM moved"
        )
        assert 0 < one(connection, "SELECT count(*) FROM audit_log_leftover") < ahead
        assert one(connection, "SELECT count(*) FROM audit_log WHERE table_name = 'ahead'") == ahead
        carry_out(connection, script(MIGRATION, "rollback"))
        assert one(connection, "SELECT count(*) FROM audit_log WHERE table_name = 'ahead'") == ahead
        assert one(connection, "SELECT to_regclass('audit_log_leftover')") is None


def test_nothing_is_scanned_while_the_names_change(server: Server, baseline_template: str) -> None:
    with migrated(server, baseline_template, "006") as connection:
        count = len(migration_files.read_script(script(MIGRATION)).steps)
        carry_out(connection, script(MIGRATION), count - 2)
        said: list[str] = []
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
        step = migration_files.read_script(script(MIGRATION)).steps[-2]
        with connection.transaction():
            connection.execute("SET LOCAL client_min_messages = debug1")
            connection.execute(step.statements[0].text)
        assert (
            'partition constraint for table "audit_log_history" is implied by existing constraints'
            in said
        )
        assert not [one for one in said if "building index" in one or "verifying table" in one]


def test_a_quarter_is_cut_off_without_reading_the_old_entries(shared: Connection) -> None:
    said: list[str] = []
    shared.add_notice_handler(lambda notice: said.append(notice.message_primary))
    with shared.transaction(force_rollback=True):
        shared.execute(
            "INSERT INTO audit_log (action, table_name, timestamp) VALUES ('API_CALL', 'ahead',"
            " now() + interval '2 years')"
        )
        shared.execute("SET LOCAL client_min_messages = debug1")
        made = shared.execute(
            "SELECT create_partitions_ahead('audit_log', now() + interval '2 years')"
        ).fetchall()
        assert len(made) == 6
        assert made[0][0].startswith("audit_log_20")
        assert (
            one(shared, "SELECT tableoid::regclass::text FROM audit_log WHERE table_name = 'ahead'")
            == made[-1][0]
        )
        assert (
            said.count(
                'updated partition constraint for default partition "audit_log_history" is implied'
                " by existing constraints"
            )
            >= 4
        )


# -- what is in the way ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "name"), DEPENDENTS, ids=[f"{statement[:30]}" for statement, _ in DEPENDENTS]
)
def test_what_would_stay_with_the_old_table_is_named_and_stops_it(
    server: Server, baseline_template: str, statement: str, name: str
) -> None:
    with migrated(server, baseline_template, "006") as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute(statement)
        (result,) = named_checks.run(connection, 4, ["audit_log_dependents"]).results
        assert (result.verdict, [one.object for one in result.found]) == ("fail", [name])
        with pytest.raises(psycopg.Error, match="audit_log cannot change names with its twin"):
            carry_out(connection, script(MIGRATION))
        carry_out(connection, script(MIGRATION, "rollback"))
        assert (
            one(connection, "SELECT relkind::text FROM pg_class WHERE oid = 'audit_log'::regclass")
            == "r"
        )


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE UNIQUE INDEX theirs ON audit_log (id, org_id)", "index theirs"),
        (
            "ALTER TABLE audit_log ADD CONSTRAINT theirs CHECK (action IS NOT NULL) NOT VALID",
            "constraint theirs",
        ),
    ],
)
def test_what_partitions_cannot_keep_is_named(
    server: Server, baseline_template: str, statement: str, name: str
) -> None:
    with migrated(server, baseline_template, "006") as connection:
        connection.execute(statement)
        (result,) = named_checks.run(connection, 4, ["audit_log_dependents"]).results
        assert (result.verdict, [one.object for one in result.found]) == ("fail", [name])


def test_entries_dated_ahead_are_named_and_stop_it_before_anything_is_in_its_way(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "006") as connection:
        key = one(
            connection,
            "INSERT INTO audit_log (action, table_name, timestamp) VALUES ('API_CALL', 'x', now() +"
            " interval '5 years') RETURNING id",
        )
        connection.execute(
            "INSERT INTO audit_log (action, table_name, timestamp) VALUES ('API_CALL', 'x',"
            " 'infinity')"
        )
        (result,) = named_checks.run(connection, 4, ["audit_log_dated_ahead"]).results
        assert (result.verdict, result.found[0].found) == ("fail", 1)
        assert str(key) in result.found[0].detail
        with pytest.raises(
            psycopg.errors.CheckViolation, match="audit_log_dated_before_its_partitions"
        ):
            carry_out(connection, script(MIGRATION))
        carry_out(connection, script(MIGRATION, "rollback"))
        connection.execute("UPDATE audit_log SET timestamp = NULL WHERE id = %s", (key,))
        carry_out(connection, script(MIGRATION))


def test_what_an_installation_added_to_the_table_is_kept(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "006") as connection:
        connection.execute(
            "ALTER TABLE audit_log ADD COLUMN session_id uuid DEFAULT gen_random_uuid(), ADD COLUMN"
            " gone text;ALTER TABLE audit_log DROP COLUMN gone;ALTER TABLE audit_log ADD CONSTRAINT"
            " agent_is_short CHECK (char_length(user_agent) < 1000);CREATE INDEX by_session ON"
            " audit_log USING hash (session_id) WHERE session_id IS NOT NULL;GRANT INSERT (action,"
            " table_name) ON audit_log TO authenticated;GRANT SELECT ON audit_log TO service_role"
            " WITH GRANT OPTION;CREATE POLICY only_logins ON audit_log AS RESTRICTIVE FOR SELECT TO"
            " authenticated USING (action <> 'LOGIN' OR EXISTS (SELECT FROM profile AS p WHERE p.id"
            " = audit_log.user_id))"
        )
        before = catalog.snapshot(connection)
        carry_out(connection, script(MIGRATION))
        assert found(connection, script(MIGRATION, "validate")) == ""
        assert (
            one(connection, "SELECT count(*) FROM pg_policies WHERE tablename = 'audit_log'") == 2
        )
        assert (
            one(connection, "SELECT count(*) FROM pg_index WHERE indrelid = 'audit_log'::regclass")
            == 7
        )
        carry_out(connection, script(MIGRATION, "rollback"))
        assert str(catalog.diff(before, catalog.snapshot(connection))).splitlines()[1:] == []


# -- as the application sees it --------------------------------------------------------------------


def test_tenants_stay_apart_in_the_audit_log(shared: Connection) -> None:
    with shared.transaction(force_rollback=True):
        ann, eve = (person(shared, organization(shared)) for _ in range(2))
        for who in (ann, eve):
            for dated in ("now()", "NULL", "now() + interval '8 months'"):
                shared.execute(
                    "INSERT INTO audit_log (org_id, action, table_name, timestamp) VALUES (%s,"
                    f" 'LOGIN', 'x', {dated})",
                    (who.org,),
                )
        for table, seen in (("audit_log", 3), ("audit_log_history", 2)):
            with acting(shared, ann):
                assert shared.execute(f'SELECT DISTINCT org_id FROM "{table}"').fetchall() == [
                    (ann.org,)
                ]
                assert (
                    one(shared, f"SELECT count(*) FROM \"{table}\" WHERE table_name = 'x'") == seen
                )
            with acting(shared, None):
                assert one(shared, f'SELECT count(*) FROM "{table}"') == 0
        for statement in (
            "INSERT INTO audit_log (action, table_name) VALUES ('LOGIN', 'x')",
            "DELETE FROM audit_log",
        ):
            with acting(shared, ann), pytest.raises(psycopg.errors.InsufficientPrivilege):
                shared.execute(statement)


def test_triggers_and_keys_go_on_working(shared: Connection) -> None:
    with shared.transaction(force_rollback=True):
        ann = person(shared, organization(shared))
        shared.execute("SELECT set_config('request.jwt.claim.sub', %s, true)", (str(ann.id),))
        shared.execute("INSERT INTO customer (org_id, name) VALUES (%s, 'n')", (ann.org,))
        entry = one(
            shared,
            "SELECT id FROM audit_log WHERE org_id = %s AND table_name = 'customer'",
            (ann.org,),
        )
        shared.execute(
            "INSERT INTO audit_log (org_id, user_id, action, table_name, timestamp)"
            " VALUES (%s, %s, 'LOGIN', 'x', now() + interval '8 months')",
            (ann.org, ann.id),
        )
        with (
            shared.transaction(force_rollback=True),
            pytest.raises(psycopg.errors.ForeignKeyViolation),
        ):
            shared.execute(
                "UPDATE audit_log SET org_id = gen_random_uuid() WHERE id = %s", (entry,)
            )
        shared.execute("SELECT set_config('request.jwt.claim.sub', '', true)")
        shared.execute("DELETE FROM auth.users WHERE id = %s", (ann.id,))
        shared.execute("DELETE FROM organization WHERE id = %s", (ann.org,))
        assert (
            one(
                shared,
                "SELECT count(*) FROM audit_log WHERE org_id = %s OR user_id = %s",
                (ann.org, ann.id),
            )
            == 0
        )
        assert one(shared, "SELECT count(*) FROM audit_log WHERE id = %s", (entry,)) == 1


def test_a_seal_of_a_rollback_does_not_stay_on_the_table(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "007") as connection:
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION"
            " ''sealed''; END';CREATE TRIGGER mantis_runbook_seal BEFORE INSERT ON"
            " audit_log_history FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
        )
        carry_out(connection, script(MIGRATION, "rollback"))
        connection.execute("INSERT INTO audit_log (action, table_name) VALUES ('LOGIN', 'x')")


def test_a_view_made_since_stops_the_way_back_and_is_named(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "007") as connection, another(connection) as writer:
        connection.execute("CREATE VIEW theirs AS SELECT count(*) FROM audit_log")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="theirs"):
            carry_out(connection, script(MIGRATION, "rollback"))
        writer.execute("INSERT INTO audit_log (action, table_name) VALUES ('LOGIN', 'x')")
        connection.execute("DROP VIEW theirs")
        with beside(lambda: carry_out(connection, script(MIGRATION, "rollback"))) as way_back:
            pass
        assert way_back.error is None


def test_defaults_and_foreign_keys_stay_as_this_database_had_them(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "006") as connection:
        connection.execute(
            "CREATE FUNCTION uuid_of_theirs() RETURNS uuid LANGUAGE sql AS 'SELECT"
            " gen_random_uuid()';ALTER TABLE audit_log ALTER COLUMN id SET DEFAULT"
            " uuid_of_theirs(), ADD COLUMN origin text NOT NULL DEFAULT 'app', DROP CONSTRAINT"
            " audit_log_org_id_fkey, ADD CONSTRAINT audit_log_org_id_fkey FOREIGN KEY (org_id)"
            " REFERENCES organization ON DELETE CASCADE"
        )
        before = catalog.snapshot(connection)
        carry_out(connection, script("007"))
        assert found(connection, script("007", "validate")) == ""
        assert one(
            connection,
            "SELECT confdeltype FROM pg_constraint WHERE conrelid = 'audit_log'::regclass AND"
            " conname = 'audit_log_org_id_fkey'",
        ) in ("c", b"c")
        carry_out(connection, script("007", "rollback"))
        assert str(catalog.diff(before, catalog.snapshot(connection))).splitlines()[1:] == []
