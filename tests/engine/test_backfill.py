"""Backfills: every row once and in bounded batches, whatever the application does meanwhile."""

from __future__ import annotations

import threading
import time
import tracemalloc
from typing import Any

import pytest
from workbench import Bench, beside, wait_for

from mantis_runbook.engine import backfill
from mantis_runbook.engine.backfill import Batch
from mantis_runbook.errors import LockNotObtained, MigrationFileError, StepFailed
from mantis_runbook.migrations.files import Migration

FILL = """
-- step: fill  batched over {table}
UPDATE {table} SET filled = filled + 1 WHERE id > $1 AND id <= $2;
"""


def filling(bench: Bench, kind: str, key: str, rows: int = 5_000, table: str = "big") -> Migration:
    """A table of that many rows whose key is made from n, and the migration that fills it."""
    bench.sql(f"CREATE TABLE {table} (id {kind} PRIMARY KEY, filled integer NOT NULL DEFAULT 0)")
    bench.sql(f"INSERT INTO {table} (id) SELECT {key} FROM generate_series(1, {rows}) AS n")
    bench.sql(f"ANALYZE {table}")
    return bench.migration(FILL.format(table=table))


KEYS = {
    "bigint": "n * 7 - 20000",
    "integer": "n",
    "smallint": "n",
    "uuid": "gen_random_uuid()",
    "text": "md5(n::text)",
    "varchar(40)": "'Ä' || n || '%'",
    'text COLLATE "C"': "chr(256 + n) || n",
}


def test_every_row_is_filled_once_whatever_its_key_is(bench: Bench) -> None:
    for number, (kind, key) in enumerate(KEYS.items()):
        filling(bench, kind, key, table=f"big_{number}")
        [step] = bench.up(
            bench.migration(FILL.format(table=f"big_{number}"), version=f"{number:03}")
        ).steps
        assert bench.sql(f"SELECT filled, count(*) FROM big_{number} GROUP BY filled") == [
            (1, 5_000)
        ], kind
        assert step.rows == 5_000


def test_names_are_read_as_sql_writes_them(bench: Bench) -> None:
    bench.sql("CREATE SCHEMA auth")
    for number, table in enumerate(('"Odd Name"', '"a.b"', "auth.users", 'public."Über"')):
        filling(bench, "bigint", "n", 10, table=table)
        bench.up(bench.migration(FILL.format(table=table), version=f"{number:03}"))
        assert bench.sql(f"SELECT DISTINCT filled FROM {table}") == [(1,)], table


UNFIT = {
    "a bigint, b bigint, filled integer DEFAULT 0, id bigint, PRIMARY KEY (a, b)": (
        "found a bigint, b bigint, "
    ),
    "id numeric PRIMARY KEY, filled integer": "found id numeric, ",
    "id bigint UNIQUE, filled integer": "found no primary key, ",
}


def test_a_table_that_cannot_be_paged_is_refused(bench: Bench) -> None:
    migration = bench.migration(FILL.format(table="big"))
    for definition, found in UNFIT.items():
        bench.sql("DROP TABLE IF EXISTS big")
        bench.sql(f"CREATE TABLE big ({definition})")
        with pytest.raises(StepFailed, match="table big cannot be backfilled in batches: " + found):
            bench.up(migration)
        assert bench.status() == "failed"


def test_a_table_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(StepFailed, match="table big cannot be backfilled"):
        bench.up(bench.migration(FILL.format(table="big")))


def test_a_row_with_the_lowest_key_of_all_is_not_passed_over(bench: Bench) -> None:
    for kind, lowest in backfill.LOWEST.items():
        bench.sql(f"CREATE TABLE big (id {kind} PRIMARY KEY, filled integer NOT NULL DEFAULT 0)")
        bench.sql("INSERT INTO big (id) VALUES (%s)", lowest)
        with pytest.raises(StepFailed, match="table big has a row with the lowest key of all"):
            walked(bench, 1_000)
        bench.sql("DROP TABLE big")


def test_rows_written_meanwhile_are_filled_at_most_once_and_older_ones_exactly_once(
    bench: Bench,
) -> None:
    migration = filling(bench, "uuid", "gen_random_uuid()", 20_000)
    bench.sql("ALTER TABLE big ADD COLUMN late boolean NOT NULL DEFAULT false")
    over = threading.Event()

    def write() -> int:
        written = 0
        with bench.connect() as connection:
            while not over.is_set():
                connection.execute("INSERT INTO big (id, late) VALUES (gen_random_uuid(), true)")
                connection.execute(
                    "UPDATE big SET late = late WHERE id = (SELECT id FROM big LIMIT 1)"
                )
                written += 1
        return written

    with beside(write) as writer:
        try:
            bench.up(migration, batch_target_ms=20, step_deadline_s=30)
        finally:
            over.set()
    assert writer.result > 10
    assert bench.sql("SELECT DISTINCT filled FROM big WHERE NOT late") == [(1,)]
    assert bench.value("SELECT max(filled) FROM big") == 1


def walked(
    bench: Bench, target_ms: float, cost_ms: float = 0.0, after: str | None = None
) -> list[Batch]:
    """The batches over the table `big`, each row costing that much."""
    with bench.connect() as connection:

        def run(batch: Batch) -> None:
            time.sleep(batch.size * cost_ms / 1000)

        return list(backfill.batches(connection, "big", after=after, target_ms=target_ms, run=run))


def test_batches_follow_each_other_without_gap_or_overlap(bench: Bench) -> None:
    filling(bench, "bigint", "n * 3")
    found = walked(bench, 1_000)
    assert found[0].lower == backfill.LOWEST["bigint"]
    assert [one.lower for one in found[1:]] == [one.upper for one in found[:-1]]
    assert found[-1].upper == "15000"


def test_a_batch_holds_as_many_rows_as_it_says(bench: Bench) -> None:
    """Keys of different length: sorted as text, 10 would come before 9."""
    filling(bench, "bigint", "n")
    for one in walked(bench, 1_000)[:-1]:
        assert (
            bench.value(
                "SELECT count(*) FROM big WHERE id > %s AND id <= %s",
                int(one.lower),
                int(one.upper),
            )
            == one.size
        )


def test_a_walk_resumes_after_the_key_it_reached(bench: Bench) -> None:
    filling(bench, "bigint", "n")
    assert walked(bench, 1_000, after="4000")[0].lower == "4000"
    assert walked(bench, 1_000, after="5000") == []


@pytest.mark.parametrize(
    ("cost_ms", "grows"), [(0.0, True), (0.2, False)], ids=["quick rows", "slow rows"]
)
def test_batches_adapt_to_the_duration_that_is_wanted(
    bench: Bench, cost_ms: float, grows: bool
) -> None:
    filling(bench, "bigint", "n", 5_000)
    sizes = [one.size for one in walked(bench, 50, cost_ms)]
    assert (sizes[1] > sizes[0]) is grows
    assert min(sizes) >= backfill.SMALLEST
    assert all(
        0.5 <= later / earlier <= 2.0 for earlier, later in zip(sizes, sizes[1:], strict=False)
    )


def test_memory_does_not_grow_with_the_table(bench: Bench) -> None:
    def peak(rows: int) -> int:
        bench.sql("DROP TABLE IF EXISTS big")
        filling(bench, "bigint", "n", rows)
        with bench.connect() as connection:
            tracemalloc.start()
            for _ in backfill.batches(
                connection, "big", after=None, target_ms=0.001, run=lambda _: None
            ):
                pass
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        return most

    peak(2_000)
    assert peak(40_000) < 3 * peak(2_000) + 100_000


def test_a_backfill_pauses_while_somebody_waits_for_a_lock(bench: Bench) -> None:
    with bench.connect() as holder, bench.connect() as asking:
        assert backfill.pause_while_pressed(asking, longest_s=5) < 5, "nobody waits"
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE old")
        with beside(lambda: bench.sql("SELECT count(*) FROM old")):
            wait_for(
                lambda: bench.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), "the reader to wait"
            )
            assert backfill.pause_while_pressed(asking, longest_s=0.5) >= 0.5
            holder.execute("COMMIT")
        assert backfill.pause_while_pressed(asking, longest_s=5) < 5


def test_a_backfill_rests_as_long_as_it_worked_for_each_session_that_works_beside_it(
    bench: Bench,
) -> None:
    with bench.connect() as asking:
        assert backfill.Courtesy(asking).rest(0.5) == 0, "nobody works beside it"
        with (
            bench.connect("one") as one,
            bench.connect("two") as two,
            bench.connect("mantis-runbook/probe") as ours,
        ):
            sleepers = [
                beside(lambda c=c: c.execute("SELECT pg_sleep(60)")) for c in (one, two, ours)
            ]
            with sleepers[0], sleepers[1], sleepers[2]:
                asleep = (
                    "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE"
                    " '%%pg_sleep(60)%%' AND pid <> pg_backend_pid()"
                )
                wait_for(
                    lambda: len(bench.sql(asleep)) == 3, "three sessions at work, one of them ours"
                )
                courtesy = backfill.Courtesy(asking)
                assert courtesy.rest(0.3) == pytest.approx(0.6)
                assert courtesy.rest(60) == backfill.LONGEST_REST_S, "and no longer than that"
                for connection in (one, two, ours):
                    connection.cancel()
        assert backfill.Courtesy(asking).rest(0.5) == 0


def test_a_backfill_looks_for_others_after_every_batch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    monkeypatch.setattr(
        backfill.Courtesy, "rest", lambda self, worked_s: looks.append(worked_s) or 0.2
    )
    [step] = bench.up(filling(bench, "bigint", "n")).steps
    assert step.rows == 5_000
    assert step.note == f"{0.2 * len(looks):.1f} s of it at rest while others worked"
    assert len(looks) >= 2
    assert all(worked_s > 0 for worked_s in looks)


def test_who_waits_for_an_advisory_lock_is_no_reason_to_pause(bench: Bench) -> None:
    with bench.connect() as holder, bench.connect() as asking:
        holder.execute("SELECT pg_advisory_lock(7)")
        with beside(lambda: bench.sql("SELECT pg_advisory_lock(7)")):
            wait_for(
                lambda: bench.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), "the other to wait"
            )
            assert backfill.pause_while_pressed(asking, longest_s=3) < 3
            holder.execute("SELECT pg_advisory_unlock(7)")


def test_a_failed_backfill_keeps_its_batches_and_goes_on_when_the_cause_is_gone(
    bench: Bench,
) -> None:
    migration = filling(bench, "bigint", "n")
    bench.sql("ALTER TABLE big ADD CONSTRAINT small_numbers CHECK (filled = 0 OR id < 2500)")
    with pytest.raises(StepFailed, match="failed; its earlier batches stay: .*small_numbers"):
        bench.up(migration)
    done = len(bench.journal("batch"))
    assert done > 0
    bench.sql("ALTER TABLE big DROP CONSTRAINT small_numbers")
    bench.up(migration)
    assert bench.sql("SELECT DISTINCT filled FROM big") == [(1,)]


def test_a_backfill_that_was_edited_half_way_is_refused(bench: Bench) -> None:
    migration = filling(bench, "bigint", "n")
    bench.sql("ALTER TABLE big ADD CONSTRAINT small_numbers CHECK (filled = 0 OR id < 2500)")
    with pytest.raises(StepFailed):
        bench.up(migration)
    with pytest.raises(
        MigrationFileError, match="'fill' of migration 001 was edited after it was carried out"
    ):
        bench.up(bench.migration(FILL.format(table="big").replace("+ 1", "+ 2")))


def test_a_table_locked_by_somebody_is_waited_for_in_short_tries(bench: Bench) -> None:
    """First by the engine when it reads the catalogue, then by the walk."""
    migration = filling(bench, "bigint", "n")
    with bench.connect("maintenance") as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE big")
        with pytest.raises(
            LockNotObtained,
            match=r"tables locked for 1 s by pid \d+ \(maintenance, idle in transaction, LOCK",
        ):
            bench.up(migration)
        assert bench.status() is None, "nothing was begun"
        holder.execute("COMMIT")

        def lock_again(event: str, **_: Any) -> None:
            if event == "step.started":
                holder.execute("BEGIN")
                holder.execute("LOCK TABLE big")

        with bench.engine() as engine:
            engine.watch = lock_again
            with pytest.raises(
                LockNotObtained,
                match=r"in the way: pid \d+ \(maintenance, idle in transaction, LOCK",
            ):
                engine.up(migration)
            holder.execute("COMMIT")
    assert bench.status() == "failed"
    bench.up(migration)
    assert bench.sql("SELECT DISTINCT filled FROM big") == [(1,)]


def test_progress_is_told_and_each_batch_is_journalled(bench: Bench) -> None:
    bench.up(filling(bench, "bigint", "n"))
    told = [facts for event, facts in bench.heard if event == "step.progress"]
    assert told[-1]["rows"] == told[-1]["of"] == 5_000
    rows: list[Any] = bench.sql(
        "SELECT (detail ->> 'rows')::integer FROM mantis_runbook.journal WHERE state = 'batch'"
    )
    assert sum(count for (count,) in rows) == 5_000
    assert len(rows) == len(told)


def test_a_batch_without_triggers_fires_none(bench: Bench) -> None:
    bench.sql("CREATE TABLE fired (id bigint)")
    filling(bench, "bigint", "n", 2_000)
    bench.sql(
        "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.fired"
        " VALUES (NEW.id); RETURN NEW; END'"
    )
    bench.sql("CREATE TRIGGER fires AFTER UPDATE ON big FOR EACH ROW EXECUTE FUNCTION fire()")
    bench.up(
        bench.migration(FILL.format(table="big").replace("over big", "over big  without triggers"))
    )
    assert bench.value("SELECT count(*) FROM fired") == 0
    bench.up(bench.migration(FILL.format(table="big"), version="002"))
    assert bench.value("SELECT count(*) FROM fired") == 2_000
    assert bench.sql("SELECT DISTINCT filled FROM big") == [(2,)]
