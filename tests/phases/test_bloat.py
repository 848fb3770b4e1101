"""Bloat: measured or estimated, and rebuilt by pg_repack where it is installed, on real servers."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from mantis_runbook import notebook
from mantis_runbook.backup.fingerprint import Sums, TableFingerprint
from mantis_runbook.engine import ledger
from mantis_runbook.engine.fence import hold
from mantis_runbook.errors import Failed, FenceLost, ParameterError, Refused
from mantis_runbook.phases.advanced import bloat, rebuild_proof, repack_leftovers
from mantis_runbook.phases.advanced import repackable as repackable_module
from mantis_runbook.phases.advanced.advanced_phase import AdvancedPhase
from mantis_runbook.phases.advanced.bloat import Bloat, Bloated
from mantis_runbook.phases.advanced.rebuild_proof import Writes
from mantis_runbook.phases.advanced.repackable import program, refusal
from mantis_runbook.postgres import commands, programs
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import run

#: 100,000 rows, of which one in ten is left: nine tenths of the table hold nothing.
BLOATED = """
CREATE TABLE "Bloated" (id bigint PRIMARY KEY, filler text NOT NULL);
INSERT INTO "Bloated" SELECT n, repeat('x', 200) FROM generate_series(1, 100000) AS n;
DELETE FROM "Bloated" WHERE id % 10 <> 0
"""
CONTENT = 'SELECT count(*), sum(hashtextextended("Bloated"::text, 7)) FROM "Bloated"'


@pytest.fixture
def bloated(empty_database: Target) -> Target:
    with connect(empty_database, "test") as connection:
        connection.execute(BLOATED)
        connection.execute('VACUUM "Bloated"')
        connection.execute('ANALYZE "Bloated"')
    return empty_database


def offered(connection: Connection, extension: str) -> bool:
    return bool(
        connection.execute(
            "SELECT FROM pg_available_extensions WHERE name = %s", (extension,)
        ).fetchall()
    )


def only(found: Bloated) -> Bloat:
    (one,) = (one for one in found.tables if one.table == "Bloated")
    return one


@pytest.mark.parametrize("extension", [None, "pgstattuple"])
def test_nine_tenths_of_nothing_are_seen(bloated: Target, extension: str | None) -> None:
    with connect(bloated, "test") as connection:
        if extension:
            if not offered(connection, extension):
                pytest.skip("this server does not offer pgstattuple")
            connection.execute("CREATE SCHEMA tools; CREATE EXTENSION pgstattuple SCHEMA tools")
        found = only(bloat.measure(connection))
    assert found.method == (extension or "estimate")
    assert found.bloat == pytest.approx(0.9, abs=0.05)
    assert found.bytes > 20_000_000


def test_a_full_table_is_not_bloated_and_an_unknown_one_is_not_guessed(
    empty_database: Target,
) -> None:
    with connect(empty_database, "test") as connection:
        connection.execute(
            "CREATE TABLE fresh AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1,"
            " 50000) AS n"
        )
        connection.execute("CREATE TABLE nothing (a integer)")
        unknown = {one.table: one for one in bloat.measure(connection).tables}
        connection.execute("ANALYZE fresh")
        known = {one.table: one for one in bloat.measure(connection).tables}
    assert (unknown["fresh"].bloat, unknown["fresh"].method) == (None, "unknown")
    assert known["fresh"].bloat == pytest.approx(0, abs=0.05)
    assert (known["nothing"].bloat, known["nothing"].method) == (0, "empty")
    assert list(bloat.Bloated(tuple(known.values())).frame.columns) == [
        "table",
        "bytes",
        "bloat",
        "method",
    ]


@pytest.mark.parametrize(
    ("share", "size", "chosen"),
    [(0.4, 100, True), (0.3, 100, True), (0.29, 100, False), (0.9, 99, False), (None, 100, False)],
)
def test_tables_above_the_threshold_are_chosen(
    share: float | None, size: int, chosen: bool
) -> None:
    found = Bloated((Bloat("t", size, share, "estimate"),))
    assert found.above(0.3, 100) == (("t",) if chosen else ())


def test_where_it_is_not_installed_nothing_is_done_and_it_says_so(bloated: Target) -> None:
    done = bloat.rebuild(bloated)
    assert [(one.table, one.state, one.before == one.after) for one in done.tables] == [
        ("Bloated", "not installed", True)
    ]
    assert done.note == "pg_repack is not installed in this database (CREATE EXTENSION pg_repack)"
    assert "CREATE EXTENSION" in done._repr_html_()


@pytest.fixture
def repackable(bloated: Target) -> Target:
    with connect(bloated, "test") as connection:
        if not offered(connection, "pg_repack"):
            pytest.skip("this server does not offer pg_repack")
        connection.execute("CREATE EXTENSION pg_repack")
    return bloated


def test_a_bloated_table_shrinks_under_writes_and_keeps_its_content(repackable: Target) -> None:
    over = threading.Event()
    written: list[int] = []

    def write() -> None:
        with psycopg.connect(**repackable.parameters, autocommit=True) as session:
            for number in range(1_000_000, 2_000_000):
                session.execute("INSERT INTO \"Bloated\" VALUES (%s, 'new')", (number,))
                written.append(number)
                if over.is_set():
                    return

    with connect(repackable, "test") as connection:
        before = connection.execute(CONTENT).fetchone()
        writer = threading.Thread(target=write)
        writer.start()
        try:
            done = bloat.rebuild(repackable, threshold=0.5)
        finally:
            over.set()
            writer.join()
        (one,) = done.tables
        assert one.table == "Bloated"
        assert one.state in {"rebuilt", "unproven"}
        assert "written to meanwhile" in one.note
        assert one.after < one.before / 4
        assert connection.execute(
            'SELECT count(*) FROM "Bloated" WHERE id >= 1000000'
        ).fetchone() == (len(written),)
        connection.execute('DELETE FROM "Bloated" WHERE id >= 1000000')
        assert connection.execute(CONTENT).fetchone() == before
        assert connection.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%repack%'"
        ).fetchone() == (0,)


def test_a_table_in_use_is_left_as_it_is_and_nobodys_session_ends(repackable: Target) -> None:
    with connect(repackable, "reader") as reader, reader.transaction():
        before = reader.execute(CONTENT).fetchone()
        (one,) = bloat.rebuild(repackable, wait_s=1, deadline_s=60).tables
        assert one.state in {"skipped", "failed"}
        assert one.note
        assert reader.execute(CONTENT).fetchone() == before


def test_policies_that_bind_the_owner_are_seen_and_a_superusers_rebuild_keeps_every_row(
    repackable: Target,
) -> None:
    """A repack as the owner emptied such a table, and was reported as rebuilt."""
    with connect(repackable, "test") as connection:
        before = connection.execute(CONTENT).fetchone()
        connection.execute(
            'ALTER TABLE "Bloated" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY'
        )
        connection.execute("CREATE ROLE bloat_owner NOLOGIN")
        try:
            connection.execute('ALTER TABLE "Bloated" OWNER TO bloat_owner; SET ROLE bloat_owner')
            assert "BYPASSRLS" in refusal(connection, "Bloated")
            connection.execute("RESET ROLE")
            assert refusal(connection, "Bloated") == ""
            assert [one.state for one in bloat.rebuild(repackable).tables] == ["rebuilt"]
            assert connection.execute(CONTENT).fetchone() == before
        finally:
            connection.execute(
                'RESET ROLE; ALTER TABLE "Bloated" OWNER TO CURRENT_USER; DROP ROLE bloat_owner'
            )


def test_tables_that_are_not_named_and_not_bloated_are_left_alone(repackable: Target) -> None:
    assert bloat.rebuild(repackable, ["other"]).tables == ()
    assert bloat.rebuild(repackable, threshold=0.99).tables == ()


def test_a_program_of_another_version_is_not_used(
    repackable: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "pg_repack"
    fake.write_text("#!/bin/sh\necho pg_repack 0.0.1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(programs, "folders", lambda: [tmp_path])
    done = bloat.rebuild(repackable)
    assert [one.state for one in done.tables] == ["not installed"]
    assert done.note.endswith("the program must be too, and there is 0.0.1")


def test_the_phase_says_why_of_two_wasteful_tables_only_the_large_one_counts(
    bloated: Target,
) -> None:
    with connect(bloated, "test") as connection:
        connection.execute("CREATE TABLE small AS SELECT n FROM generate_series(1, 5000) AS n")
        connection.execute("DELETE FROM small WHERE n <= 4500")
        connection.execute("VACUUM ANALYZE small")
    fourth = SimpleNamespace(
        number="4",
        run=SimpleNamespace(read=lambda what: connect(bloated, what)),
        parameters=SimpleNamespace(repack="no"),
    )
    found = AdvancedPhase.bloat(fourth)
    assert found.summary.startswith(
        "1 table of 2 worth a rebuild (30 % or more wasted, in 8 MiB or more); "
    )
    worth = {
        row["table"]: (row["wasted"], row["worth a rebuild"]) for row in found.tables[0].records
    }
    assert worth["Bloated"][1], worth
    assert not worth["small"][1]
    assert float(worth["small"][0].removesuffix(" %")) > 30


def test_the_phase_tells_how_many_indexes_it_leaves_out_and_since_when_uses_were_counted(
    empty_database: Target,
) -> None:
    with connect(empty_database, "test") as connection:
        columns = ", ".join(f"c{number} integer" for number in range(21))
        connection.execute(f"CREATE TABLE wide ({columns})")
        for number in range(21):
            connection.execute(f"CREATE INDEX ON wide (c{number})")
    fourth = SimpleNamespace(
        number="4", run=SimpleNamespace(read=lambda what: connect(empty_database, what))
    )
    found = AdvancedPhase.indexes(fourth)
    assert found.summary == "0 redundant indexes, 21 unused indexes, 0 missing indexes"
    (unused,) = (table for table in found.tables if "unused" in table.caption)
    assert unused.caption == "21 unused indexes, the first 20"
    assert len(unused.records) == 20
    assert "bytes" not in unused.records[0]
    assert unused.records[0]["counted_since"] == "the beginning: never reset"


# -- nothing lost, nothing left --------------------------------------------------------------------


@pytest.fixture
def owned(repackable: Target) -> Iterator[Target]:
    """The table under FORCE ROW LEVEL SECURITY, of an owner who is no superuser and sees no row;
    our target is the owner.
    """
    with connect(repackable, "test") as connection:
        name = f"owner_{connection.info.backend_pid}"
        connection.execute(f"CREATE ROLE {name} LOGIN IN ROLE pg_stat_scan_tables")
        connection.execute(
            "CREATE EXTENSION pgstattuple"
        )  # statistics are hidden from it as the rows are
        connection.execute(
            f'ALTER TABLE "Bloated" OWNER TO {name}, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL'
            " SECURITY"
        )
    yield replace(repackable, parameters={**repackable.parameters, "user": name})
    with connect(repackable, "test") as connection:
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def content(target: Target) -> Any:
    with connect(target, "test") as connection:
        return connection.execute(CONTENT).fetchone()


def test_the_owner_under_forced_row_security_loses_no_row_and_is_told_why(
    repackable: Target, owned: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(repackable)
    (refused,) = bloat.rebuild(owned).tables
    with connect(repackable, "test") as connection:
        path, _ = program(connection)
        user = owned.parameters["user"]
        connection.execute(f"GRANT USAGE, CREATE ON SCHEMA repack TO {user}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA repack TO {user}")
    # As if a version had come that works for owners.
    monkeypatch.setattr(repackable_module, "program", lambda _: (path, ""))
    (one,) = bloat.rebuild(owned).tables
    assert (one.state, one.before) == ("skipped", one.after)
    assert one.note.startswith("row security hides rows of it from this role")
    assert content(repackable) == before
    # The version that hangs for an owner is refused; without that it is ended, and what it left is
    # removed.
    assert "works for superusers only: for this role it would hang" in refused.note
    with connect(repackable, "test") as connection:
        connection.execute('ALTER TABLE "Bloated" NO FORCE ROW LEVEL SECURITY')
    assert [one.state for one in bloat.rebuild(owned, deadline_s=3).tables] == ["failed"]
    with connect(repackable, "test") as connection:
        assert repack_leftovers.leftovers(connection) == ()
    assert content(repackable) == before


@pytest.mark.usefixtures("reports")
def test_a_rebuild_that_loses_rows_is_a_failure_that_stops_the_phase(
    repackable: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The program is the real one, with a loss behind it that no counter shows."""
    with connect(repackable, "test") as connection:
        connection.execute('CREATE TABLE "Second" (LIKE "Bloated" INCLUDING ALL)')
        connection.execute(
            "INSERT INTO \"Second\" SELECT n, repeat('x', 200) FROM generate_series(1, 60000) AS n"
        )
        connection.execute('DELETE FROM "Second" WHERE id % 8 <> 0')
        connection.execute('VACUUM ANALYZE "Second"')
        real, _ = program(connection)
    assert real
    fake = tmp_path / "pg_repack"
    fake.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {real} --version\n{real} "$@" || exit\nfor word;'
        ' do case "$word" in --dbname=*|--host=*|--port=*|--username=*) set -- "$@" "$word";;'
        f' esac; shift; done\n{real.with_name("psql")} -qc \'TRUNCATE "Bloated"\' "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr(programs, "folders", lambda: [tmp_path])
    advanced = opened(repackable, repack="yes")
    with pytest.raises(
        Failed,
        match=(
            r"Bloated lost rows: found Bloated has 0 rows, expected 10,000, and nobody wrote .*"
            r" proven"
        ),
    ):
        advanced.bloat()
    (record,) = rebuilt(advanced)
    assert [(one["table"], one["state"]) for one in record["tables"]] == [("Bloated", "lost")]


@contextmanager
def stuck(target: Target) -> Iterator[subprocess.Popen[str]]:
    """A pg_repack that made its trigger and waits for a transaction of somebody else's to end."""
    with connect(target, "somebody") as somebody, somebody.transaction():
        somebody.execute("SELECT txid_current()")
        with connect(target, "test") as connection:
            path, _ = program(connection)
            assert path
            command = commands.command(
                path, target, "--no-order", "--no-kill-backend", '--table=public."Bloated"'
            )
            repack = command.start(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                until(lambda: bool(repack_leftovers.leftovers(connection)))
                yield repack
            finally:
                repack.kill()
                repack.wait()


def until(happened: Any) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_next_pg_repack_names_and_removes_what_a_killed_one_left_and_spares_a_running_one(
    repackable: Target,
) -> None:
    before = content(repackable)
    with stuck(repackable) as repack:
        with connect(repackable, "test") as connection:
            (found,) = repack_leftovers.leftovers(connection)
            assert found.at_work
            assert "at work" in repack_leftovers.remove(connection, found)
        (one,) = bloat.rebuild(repackable).tables
        assert (one.state, one.note) == (
            "skipped",
            "a pg_repack is at work on table public.Bloated",
        )
        assert repack.poll() is None
        repack.send_signal(signal.SIGKILL)
        repack.wait()
        with connect(repackable, "test") as connection:
            until(lambda: not repack_leftovers.leftovers(connection)[0].at_work)
    with connect(repackable, "test") as connection:
        (found,) = repack_leftovers.leftovers(connection)
        assert {"log", "pk", "trigger"} <= set(found.kinds)
        assert found.message.startswith(
            f"a pg_repack that was killed left repack.log_{found.relid}, repack.pk_"
        )
        with connect(repackable, "reader") as reader, reader.transaction():
            reader.execute('SELECT FROM "Bloated" LIMIT 1')
            why = repack_leftovers.remove(connection, found, deadline_s=0.5)
        assert "canceling statement due to lock timeout; try again with: DROP TRIGGER" in why
        assert repack_leftovers.leftovers(connection) == (found,)
        connection.execute('UPDATE "Bloated" SET filler = filler WHERE id = 10')
    assert [one.state for one in bloat.rebuild(repackable).tables] == ["rebuilt"]
    with connect(repackable, "test") as connection:
        assert repack_leftovers.leftovers(connection) == ()
    assert content(repackable) == before


def test_a_rebuild_past_its_deadline_is_ended_and_leaves_nothing(repackable: Target) -> None:
    before = content(repackable)
    with connect(repackable, "somebody") as somebody, somebody.transaction():
        somebody.execute("SELECT txid_current()")
        (one,) = bloat.rebuild(repackable, deadline_s=2).tables
    assert (one.state, one.note) == ("failed", "not done within 2 s, and ended")
    with connect(repackable, "test") as connection:
        assert repack_leftovers.leftovers(connection) == ()
        assert connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^repack'"
        ).fetchone() == (0,)
    assert content(repackable) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            'ALTER TABLE "Bloated" DROP CONSTRAINT "Bloated_pkey"',
            "no primary key and no unique index",
        ),
        ('ALTER TABLE "Bloated" SET UNLOGGED', "an unlogged table"),
        (
            "UPDATE pg_extension SET extversion = '1.3.4' WHERE extname = 'pg_repack'",
            "expected 1.4 or newer",
        ),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_in_words_beforehand(
    repackable: Target, change: str, words: str
) -> None:
    with connect(repackable, "test") as connection:
        connection.execute(change)
    (one,) = bloat.rebuild(repackable, threshold=0, smallest=0).tables
    assert one.state in {"skipped", "not installed"}
    assert words in one.note


def sums(rows: int, text: int) -> TableFingerprint:
    return TableFingerprint(("id",), Sums(rows, text, text), {})


@pytest.mark.parametrize(
    ("after", "writes", "outcome"),
    [
        (sums(10, 1), Writes(0, 0, 0), "equal"),
        (sums(10, 1), None, "equal"),
        (sums(10, 2), Writes(0, 0, 0), "lost"),
        (sums(9, 2), Writes(0, 0, 0), "lost"),
        (sums(9, 2), None, "unproven"),
        (sums(9, 2), Writes(0, 0, 1), "accounted"),
        (sums(8, 2), Writes(5, 5, 1), "lost"),
        (sums(13, 2), Writes(2, 0, 0), "lost"),
        (sums(12, 2), Writes(3, 0, 1), "accounted"),
        (sums(11, 2), Writes(3, 0, 1), "unproven"),
    ],
)
def test_a_difference_is_a_loss_only_where_no_write_explains_it(
    after: TableFingerprint, writes: Writes | None, outcome: str
) -> None:
    judgement = rebuild_proof.judge("t", sums(10, 1), after, writes)
    assert judgement.outcome == outcome
    assert bool(judgement.note) == (outcome != "equal")


# -- as a phase does it ----------------------------------------------------------------------------

NAMES = {"target": "TEST_DSN", "environment": "development"}


def opened(target: Target, *, migrated: bool = True, **given: str) -> AdvancedPhase:
    """Phase 4 on that database, as its notebook opens it; `migrate` on record as carried out."""
    with connect(target, "test") as connection:
        ledger.install(connection)
    advanced = notebook.open("4", NAMES | given)
    assert isinstance(advanced, AdvancedPhase)
    if migrated:
        advanced.run.journal.append(
            "verb.finished", phase="4", verb="migrate", verdict="passed", summary=""
        )
    return advanced


def rebuilt(advanced: AdvancedPhase) -> list[dict[str, Any]]:
    return [
        dict(entry.facts)
        for entry in advanced.run.journal.entries()
        if entry.event == "bloat.rebuilt"
    ]


@pytest.mark.usefixtures("reports")
def test_a_notebook_only_measures_unless_it_is_told_to_rebuild(repackable: Target) -> None:
    advanced = opened(repackable)
    found = advanced.bloat()
    assert found.summary.startswith("1 table of ")
    assert found.summary.endswith(
        "pg_repack is installed, and rebuilds them where the parameter repack says yes"
    )
    assert rebuilt(advanced) == []


@pytest.mark.usefixtures("reports")
def test_a_notebook_that_is_told_to_rebuilds_on_the_record_and_once(repackable: Target) -> None:
    advanced = opened(repackable, repack="yes")
    assert [
        e.facts["parameters"]["repack"]
        for e in advanced.run.journal.entries()
        if "parameters" in e.facts
    ] == ["yes"]
    found = advanced.bloat()
    assert found.summary.endswith("1 of 1 rebuilt")
    (record,) = rebuilt(advanced)
    (one,) = record["tables"]
    assert (record["phase"], one["table"], one["state"]) == ("4", "Bloated", "rebuilt")
    assert one["after"] < one["before"] / 4
    with connect(repackable, "test") as connection:
        connection.execute('ANALYZE "Bloated"')
    assert advanced.bloat().summary.endswith("0 of 0 rebuilt")


@pytest.mark.usefixtures("reports")
@pytest.mark.parametrize("repack", ["no", "yes"])
def test_a_notebook_says_where_it_is_not_installed(bloated: Target, repack: str) -> None:
    said = opened(bloated, repack=repack).bloat()
    assert said.summary.startswith("1 table of ")
    assert said.summary.endswith(
        "pg_repack is not installed in this database (CREATE EXTENSION pg_repack)"
    )


@pytest.mark.usefixtures("reports")
def test_nothing_is_rebuilt_beside_another_runner_nor_before_the_migration(bloated: Target) -> None:
    advanced = opened(bloated, repack="yes")
    with hold(bloated, "other", "Bob"), pytest.raises(Refused, match="run other of Bob"):
        advanced.bloat()
    early = opened(
        bloated,
        migrated=False,
        repack="yes",
        run=run.start(advanced.run.target, advanced.run.environment, "Ada", phases={}).name,
    )
    with pytest.raises(Refused, match="run the cell of 'migrate' first"):
        early.bloat()
    assert rebuilt(advanced) == rebuilt(early) == []


def test_a_runner_that_lost_its_lock_rebuilds_no_more(repackable: Target) -> None:
    with connect(repackable, "test") as connection:
        ledger.install(connection)
    with hold(repackable, "mine", "Ada") as fence:
        lost = replace(fence, token=fence.token - 1)
        with pytest.raises(FenceLost):
            bloat.rebuild(repackable, fence=lost)
        assert [one.state for one in bloat.rebuild(repackable, fence=fence).tables] == ["rebuilt"]


@pytest.mark.parametrize(
    ("phase_number", "value"), [("4", "maybe"), ("4", ""), ("4", True), ("1", "yes")]
)
def test_what_a_notebook_is_told_is_one_of_two_words(
    bloated: Target, phase_number: str, value: Any
) -> None:
    injected = {"In": [f"# Parameters\nrepack = {value!r}"], "repack": value}
    expected = "expected 'no' or 'yes'" if phase_number == "4" else "'repack' is unknown"
    with pytest.raises(ParameterError, match=expected):
        notebook.open(phase_number, NAMES | injected)
