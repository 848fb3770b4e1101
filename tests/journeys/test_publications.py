"""Publishers and subscribers: real slots, which stream before, while and after we work, and who
would stop is named first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from stages import known
from workbench import wait_for

from mantis_runbook import sandbox, settings
from mantis_runbook.backup import backup
from mantis_runbook.backup.scratch import create_scratch, drop_scratch, has_scratch
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target
from tests.checks.test_named_checks import found

#: Tables of a publication that names them; nothing of ours joins it.
PUBLISHED = ("customer", "supplier")


@dataclass(frozen=True)
class Replicated:
    """Two databases of one server: what is published in the first arrives in the second, by a slot
    of its own.
    """

    server: Server

    def place(self, name: str) -> Target:
        return Target(name, "variable", self.server.parameters | {"dbname": name})

    def execute(self, name: str, *statements: str | sql.Composed) -> None:
        with psycopg.connect(**self.place(name).parameters, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def value(self, name: str, query: str) -> object:
        with psycopg.connect(**self.place(name).parameters, autocommit=True) as connection:
            return (connection.execute(query).fetchone() or (None,))[0]

    def subscribe(self, publisher: str, subscriber: str, publication: str, slot: str) -> None:
        """On one server the slot is made first: CREATE SUBSCRIPTION would wait for its own
        transaction.
        """
        self.execute(publisher, f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
        create = (
            f"CREATE SUBSCRIPTION {slot} CONNECTION {{}} PUBLICATION {publication} WITH"
            f" (create_slot = false, slot_name = '{slot}', copy_data = false)"
        )
        conninfo = make_conninfo(**self.place(publisher).parameters)
        self.execute(subscriber, sql.SQL(create).format(conninfo))  # type: ignore[arg-type]
        wait_for(lambda: self.streams(slot), f"slot {slot} to be read")

    def streams(self, slot: str) -> bool:
        return (
            self.value(
                "postgres", f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'"
            )
            is True
        )

    def forget(self, subscriber: str, slot: str) -> None:
        steps = (
            "ALTER SUBSCRIPTION {0} DISABLE",
            "ALTER SUBSCRIPTION {0} SET (slot_name = NONE)",
            "DROP SUBSCRIPTION {0}",
        )
        self.execute(subscriber, *(step.format(slot) for step in steps))


@pytest.fixture
def replicated(own_server: Callable[..., Server]) -> Replicated:
    return Replicated(own_server(wal_level="logical"))


def test_a_subscription_of_the_target_is_in_no_copy_and_its_slot_streams_on(
    replicated: Replicated, tmp_path: Path
) -> None:
    here = replicated
    here.execute("postgres", "CREATE DATABASE source", "CREATE DATABASE target")
    for name in ("source", "target"):
        here.execute(name, "CREATE TABLE rate (currency text PRIMARY KEY, value numeric)")
    here.execute("source", "CREATE PUBLICATION rates FOR TABLE rate")
    here.subscribe("source", "target", "rates", "rates_feed")
    target = here.place("target")

    taken = backup.take(target, tmp_path / "backup", derived=True)
    copy = create_scratch(target, "mantis_scratch_feed", taken.likeness)
    assert backup.prove(taken, copy).content.is_equal
    asked = (
        "SELECT count(*) FROM pg_subscription JOIN pg_database ON pg_database.oid = subdbid WHERE"
        " datname LIKE 'mantis%'"
    )
    assert here.value("postgres", asked) == 0
    assert backup.prove_derived(
        taken, create_scratch(target, "mantis_scratch_feed", taken.likeness)
    ).is_equal
    assert here.value("postgres", asked) == 0

    # As a restore without --no-subscriptions leaves it: disabled, and on the original's slot.
    create = (
        "CREATE SUBSCRIPTION rates_feed CONNECTION {} PUBLICATION rates WITH (connect = false,"
        " slot_name = 'rates_feed')"
    )
    here.execute(
        "mantis_scratch_feed",
        sql.SQL(create).format(make_conninfo(**here.place("source").parameters)),
    )
    drop_scratch(target, "mantis_scratch_feed")
    assert not has_scratch(target, "mantis_scratch_feed")
    here.execute("source", "INSERT INTO rate VALUES ('EUR', 1.08)")
    wait_for(lambda: here.value("target", "SELECT count(*) FROM rate") == 1, "the row to arrive")
    assert here.streams("rates_feed")
    here.forget("target", "rates_feed")


def test_a_publisher_streams_through_backup_proof_and_all_migrations(
    replicated: Replicated, tmp_path: Path
) -> None:
    here = replicated
    here.execute("postgres", "CREATE DATABASE target")
    target = here.place("target")
    sandbox.load_baseline(target.parameters, scale=0.01, seed=1)
    here.execute("postgres", "CREATE DATABASE warehouse TEMPLATE target")
    here.execute("target", f"CREATE PUBLICATION sales FOR TABLE {', '.join(PUBLISHED)}")
    here.execute("target", "ALTER TABLE audit_log REPLICA IDENTITY FULL")
    here.subscribe("target", "warehouse", "sales", "to_warehouse")

    with connect(target, "test") as connection:
        verdict, said = found(connection, "publications_that_grow")
        assert (verdict, len(said)) == (
            "fail",
            1,
        ), "the subscriber would stop at a column that it lacks"
        columns = re.findall(r"(customer|supplier)\.(\w+)", said[0])
        assert ("customer", "currency") in columns
        # As the check advises: the columns are made on the subscriber first, where they may be
        # more.
        for table, column in columns:
            here.execute("warehouse", f"ALTER TABLE {table} ADD COLUMN {column} text")
        ledger.install(connection)
    taken = backup.take(target, tmp_path / "backup")
    try:
        assert backup.prove(
            taken, create_scratch(target, "mantis_scratch_sales", taken.likeness)
        ).is_valid
    finally:
        drop_scratch(target, "mantis_scratch_sales")
    with hold(target, "test", "test") as fence:
        engine = Engine(target, settings.environment("development"), "test", "test", fence)
        for migration in known():
            engine.up(migration)
    here.execute(
        "target",
        "UPDATE supplier SET name = 'changed after 009' WHERE id = (SELECT min(id::text) FROM"
        " supplier)::uuid",
    )
    arrived = "SELECT count(*) FROM supplier WHERE name = 'changed after 009'"
    wait_for(lambda: here.value("warehouse", arrived) == 1, "the change to arrive")
    assert here.streams("to_warehouse")
    parts = (
        "SELECT bool_and(relreplident = 'f') FROM pg_partition_tree('audit_log') JOIN pg_class ON"
        " pg_class.oid = relid"
    )
    assert here.value("target", parts) is True, "entries are published by whole rows, as before"
    here.forget("warehouse", "to_warehouse")


@pytest.mark.parametrize(
    ("name", "scope"),
    [("everything", "FOR ALL TABLES"), ("of_public", "FOR TABLES IN SCHEMA public")],
)
def test_a_publication_that_would_take_in_our_tables_is_named_with_who_reads_it(
    replicated: Replicated, name: str, scope: str
) -> None:
    here = replicated
    here.execute("postgres", "CREATE DATABASE target", "CREATE DATABASE warehouse")
    for place in ("target", "warehouse"):
        here.execute(place, "CREATE TABLE customer (id integer PRIMARY KEY)")
    here.execute("target", f"CREATE PUBLICATION {name} {scope}")
    here.subscribe("target", "warehouse", name, "to_warehouse")
    with connect(here.place("target"), "test") as connection:
        verdict, said = found(connection, "publications_that_grow")
        assert verdict == "fail"
        assert said[0].startswith(f"publication {name}: {scope} takes in ")
        assert "slots that may serve it: to_warehouse (read by to_warehouse)" in said[0]
        assert (
            "migration_backups" in found(connection, "publications_that_grow")[1][0]
            or "and more" in said[0]
        )
        assert found(connection, "publications_unread") == ("pass", [])
        assert found(connection, "publications_that_grow", 4)[0] == "fail"
        ledger.install(connection)
        assert found(connection, "publications_that_grow", 1)[0] == "fail"
    here.forget("warehouse", "to_warehouse")
