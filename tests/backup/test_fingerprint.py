"""Fingerprints: every change of content shows, no change of anything else does, and nobody
undercounts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from conftest import fresh_database

from mantis_runbook.backup import beside_tables
from mantis_runbook.backup.beside_tables import SequenceState
from mantis_runbook.backup.comparison import compare, compare_restored
from mantis_runbook.backup.fingerprint import (
    Fingerprint,
    Sums,
    TableFingerprint,
    counts,
    take,
    take_parallel,
)
from mantis_runbook.errors import Refused, TargetError
from mantis_runbook.postgres import connection as db
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

FIRST = "11111111-1111-4111-8111-111111111111"
SECOND = "22222222-2222-4222-8222-222222222222"

SAMPLE = f"""
CREATE TABLE sample (
    id integer, org_id uuid, name text, note text, amount numeric, ratio double precision,
    at timestamptz, span interval, raw bytea, tags text[], facts jsonb,
    double numeric GENERATED ALWAYS AS (amount * 2) STORED
);
INSERT INTO sample (id, org_id, name, note, amount, ratio, at, span, raw, tags, facts) VALUES
    (1, '{FIRST}', 'Ada', NULL, 1.0, 0.1, '2026-03-29 01:30+00', '1 mon 2 days', 'abc',
        '{{a,b}}', '{{"k": 1}}'),
    (2, '{FIRST}', 'Bo', 'x', 2.50, 0.30000000000000004, 'infinity', NULL, NULL, NULL, NULL),
    (3, '{SECOND}', '', 'a,b', 0, 'NaN', '0044-03-15 BC', '-1 day', '', '{{}}', '{{}}'),
    (4, NULL, 'Čo', '"q"', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, '{SECOND}', 'twin', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (6, '{SECOND}', 'pair', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (6, '{SECOND}', 'pair', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
"""

#: every one of these must show
BREAKS = {
    "one character": "UPDATE sample SET name = 'Adb' WHERE id = 1",
    "one letter's case": "UPDATE sample SET name = 'ada' WHERE id = 1",
    "a trailing blank": "UPDATE sample SET name = 'Ada ' WHERE id = 1",
    "NULL and the empty text": "UPDATE sample SET note = '' WHERE id = 1",
    "the empty text and NULL": "UPDATE sample SET name = NULL WHERE id = 3",
    "1.0 and 1.00": "UPDATE sample SET amount = 1.00 WHERE id = 1",
    "the last bit of a float": (
        "UPDATE sample SET ratio = 0.1::float8 + 1.3877787807814457e-17 WHERE id = 1"
    ),
    "a microsecond": "UPDATE sample SET at = at + '1 microsecond' WHERE id = 1",
    "30 days for a month": "UPDATE sample SET span = '32 days' WHERE id = 1",
    "a byte": "UPDATE sample SET raw = 'abd' WHERE id = 1",
    "an array and NULL": "UPDATE sample SET tags = NULL WHERE id = 3",
    "a fact": """UPDATE sample SET facts = '{"k": "1"}' WHERE id = 1""",
    "two values swapped between rows": (
        "UPDATE sample SET name = CASE id WHEN 1 THEN 'Bo' ELSE 'Ada' END WHERE id < 3"
    ),
    "two values swapped between columns": "UPDATE sample SET name = note, note = name WHERE id = 2",
    "a value that moved one field on": "UPDATE sample SET name = NULL, note = name WHERE id = 5",
    "a comma that moved": "UPDATE sample SET name = 'a', note = 'b' WHERE id = 3",
    "another organisation": f"UPDATE sample SET org_id = '{SECOND}' WHERE id = 1",
    "no organisation any more": "UPDATE sample SET org_id = NULL WHERE id = 1",
    "a row lost": "DELETE FROM sample WHERE id = 2",
    "a row once more": "INSERT INTO sample (id, org_id) VALUES (9, NULL)",
    "a row twice": f"INSERT INTO sample (id, org_id, name) VALUES (5, '{SECOND}', 'twin')",
    "a pair of equal rows": (
        f"INSERT INTO sample (id, org_id) SELECT 9, '{FIRST}' FROM generate_series(1, 2)"
    ),
    "a pair of equal rows for another (XOR misses it)": (
        "UPDATE sample SET name = 'other pair' WHERE id = 6"
    ),
    "one row for another": (
        "DELETE FROM sample WHERE id = 1; INSERT INTO sample (id, org_id) VALUES (7, NULL)"
    ),
    "all rows lost": "TRUNCATE sample",
}

OTHER_ORDER = (
    "CREATE TABLE other AS TABLE sample; TRUNCATE sample; INSERT INTO sample (id, org_id, name,"
    " note, amount, ratio, at, span, raw, tags, facts) SELECT id, org_id, name, note, amount,"
    " ratio, at, span, raw, tags, facts FROM other ORDER BY id DESC"
)

#: none of these may show: same content, other settings, other order, other place
SAME = {
    "another order": OTHER_ORDER,
    "another time zone": "SET LOCAL TimeZone = 'Asia/Kolkata'",
    "another date style": (
        "SET LOCAL DateStyle = 'SQL, DMY'; SET LOCAL IntervalStyle = 'postgres_verbose'"
    ),
    "fewer digits": "SET LOCAL extra_float_digits = -15",
    "another output of bytes": "SET LOCAL bytea_output = 'escape'",
    "another search path": "SET LOCAL search_path = auth",
    "names in quotes": "SET LOCAL quote_all_identifiers = on",
    "a column added": "ALTER TABLE sample ADD COLUMN currency text DEFAULT 'EUR'",
    "columns added and dropped": (
        "ALTER TABLE sample ADD x text; ALTER TABLE sample DROP x; ALTER TABLE sample ADD y text"
    ),
    "an index": "CREATE INDEX ON sample (id)",
    "row security on the table": (
        "ALTER TABLE sample ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    ),
    "text for a narrower type": "ALTER TABLE sample ALTER id TYPE text",
    "an update to the same": "UPDATE sample SET name = name",
}


@pytest.fixture(scope="module")
def standing(server: Server, baseline_template: str) -> Iterator[Connection]:
    """A baseline with the table `sample`, for tests that take back what they do."""
    with (
        fresh_database(server, baseline_template) as parameters,
        psycopg.connect(**parameters, autocommit=True, options="-c row_security=off") as connection,
    ):
        connection.execute(SAMPLE)
        yield connection


@contextmanager
def taken_back(connection: Connection) -> Iterator[None]:
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def taken(connection: Connection) -> Fingerprint:
    return take(connection, ["public.sample"])


@pytest.mark.parametrize("statement", BREAKS.values(), ids=BREAKS.keys())
def test_every_change_of_content_shows(standing: Connection, statement: str) -> None:
    with taken_back(standing):
        before = taken(standing)
        standing.execute(statement)
        comparison = compare(before, take(standing, columns=before.columns))
    assert not comparison.is_equal
    assert [verdict.table for verdict in comparison.differing] == ["public.sample"]


@pytest.mark.parametrize("statement", SAME.values(), ids=SAME.keys())
def test_what_does_not_change_the_content_does_not_show(
    standing: Connection, statement: str
) -> None:
    with taken_back(standing):
        before = taken(standing)
        standing.execute(statement)
        comparison = compare(before, take(standing, columns=before.columns))
    assert comparison.is_equal, comparison.message


def test_a_difference_is_pinned_to_its_organisations(standing: Connection) -> None:
    with taken_back(standing):
        before = taken(standing)
        standing.execute(f"UPDATE sample SET org_id = '{SECOND}' WHERE id = 1")
        [verdict] = compare(before, taken(standing)).verdicts
    assert {
        name: (found.rows, expected.rows)
        for name, (found, expected) in verdict.organisations.items()
    } == {
        FIRST: (1, 2),
        SECOND: (5, 4),
    }
    assert (
        verdict.message == "sample has 7 rows as expected, but their content differs"
        " (organisation 11111111…: 1 fewer, organisation 22222222…: 1 more)"
    )


def test_rows_without_an_organisation_are_counted_too(standing: Connection) -> None:
    with taken_back(standing):
        before = taken(standing)
        standing.execute("DELETE FROM sample WHERE id = 4")
        message = compare(before, taken(standing)).message
    assert message == "sample has 6 rows, expected 7 (without organisation: 1 fewer)"


def test_a_lost_column_is_named_and_not_passed_over(standing: Connection) -> None:
    with taken_back(standing):
        before = taken(standing)
        standing.execute("ALTER TABLE sample DROP COLUMN tags")
        comparison = compare(before, take(standing, columns=before.columns))
    assert comparison.message == "sample has lost tags, so its content cannot be compared"


def test_a_lost_table_is_named(standing: Connection) -> None:
    with taken_back(standing):
        before = taken(standing)
        standing.execute("DROP TABLE sample")
        comparison = compare(before, take(standing, columns=before.columns))
    assert not comparison.is_equal
    assert comparison.message == "sample is missing, expected 7 rows"


def test_a_table_that_becomes_partitioned_is_still_the_same(standing: Connection) -> None:
    with taken_back(standing):
        before = take(standing, ["public.audit_log"])
        standing.execute(
            "ALTER TABLE audit_log RENAME TO audit_log_before;CREATE TABLE audit_log (LIKE"
            " audit_log_before INCLUDING DEFAULTS) PARTITION BY RANGE (timestamp);CREATE TABLE"
            " audit_log_early PARTITION OF audit_log FOR VALUES FROM (MINVALUE) TO"
            " ('2025-01-01');CREATE TABLE audit_log_rest PARTITION OF audit_log DEFAULT;INSERT INTO"
            " audit_log TABLE audit_log_before"
        )
        after = take(standing, columns=before.columns)
    assert before.rows > 1000
    assert compare(before, after).is_equal
    assert set(after.tables) == {"public.audit_log"}


def test_heirs_of_a_plain_table_are_not_counted_twice(standing: Connection) -> None:
    with taken_back(standing):
        before = taken(standing)
        standing.execute("CREATE TABLE heir () INHERITS (sample); INSERT INTO heir (id) VALUES (1)")
        after = take(standing)
        counted = counts(standing, ["public.sample", "public.heir"])
    assert counted == {"public.sample": before.tables["public.sample"].total.rows, "public.heir": 1}
    assert after.tables["public.sample"] == before.tables["public.sample"]
    assert after.tables["public.heir"].total.rows == 1


def test_the_whole_baseline_is_covered_and_partitions_only_by_their_root(
    standing: Connection,
) -> None:
    whole = take(standing)
    assert {"public.customer", "public.audit_log", "public.ai_message", "public.sample"} <= set(
        whole.tables
    )
    assert not [name for name in whole.tables if "_2024_q4" in name]
    counts = {name: count(standing, name) for name in whole.tables}
    assert {name: table.total.rows for name, table in whole.tables.items()} == counts
    assert whole.rows == sum(counts.values())


def count(connection: Connection, name: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    assert row is not None
    return int(row[0])


def test_organisations_add_up_to_the_table(standing: Connection) -> None:
    table = take(standing, ["public.customer"]).tables["public.customer"]
    assert len(table.organisations) > 10
    assert sum(table.organisations.values(), Sums()) == table.total


def test_the_runbooks_own_tables_are_left_out_and_others_can_be(standing: Connection) -> None:
    with taken_back(standing):
        standing.execute(
            "CREATE SCHEMA mantis_runbook; CREATE TABLE mantis_runbook.journal (id integer)"
        )
        names = set(take(standing, ignore=["public.sample"]).tables)
    assert "public.customer" in names
    assert not names & {"public.sample", "mantis_runbook.journal"}


def test_a_table_without_rows_and_one_without_columns_have_a_fingerprint(
    standing: Connection,
) -> None:
    with taken_back(standing):
        standing.execute(
            "CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; CREATE TABLE empty (id integer)"
        )
        found = take(standing, ["public.bare", "public.empty"])
    assert found.tables["public.bare"].total.rows == 1
    assert found.tables["public.empty"] == TableFingerprint(("id",), Sums(), {})


def test_awkward_names_are_names(standing: Connection) -> None:
    with taken_back(standing):
        standing.execute(
            """CREATE SCHEMA "O'S"; CREATE TABLE "O'S"."T; -- {x} %s" ("c{}" integer, "%" text)"""
        )
        standing.execute("""INSERT INTO "O'S"."T; -- {x} %s" VALUES (1, 'x')""", prepare=False)
        name = '''"O'S"."T; -- {x} %s"'''
        found = take(standing, [name])
    assert found.tables[name].columns == ("c{}", "%")
    assert found.tables[name].total.rows == 1


def test_where_sequences_stand_is_recorded_and_not_compared(standing: Connection) -> None:
    with taken_back(standing):
        standing.execute("CREATE SEQUENCE turns START 5")
        before = taken(standing)
        standing.execute("SELECT nextval('turns'), nextval('turns')")
        after = taken(standing)
    assert before.sequences["public.turns"] == SequenceState(5, is_called=False)
    assert after.sequences["public.turns"] == SequenceState(6, is_called=True)
    assert compare(before, after).is_equal


def test_a_role_that_may_read_large_objects_finds_what_a_superuser_finds(
    standing: Connection,
) -> None:
    """One with a hole, one empty, one of zeros: a dump fills holes, so they cannot count."""
    with taken_back(standing):
        standing.execute("CREATE ROLE reader_of_objects")
        standing.execute(
            "SELECT lo_from_bytea(1, 'text'), lo_put(1, 100000, 'far'), lo_create(2),"
            " lo_from_bytea(3, decode(repeat('00', 5000), 'hex'))"
        )
        whole = take(standing).large_objects
        for number in (1, 2, 3):
            standing.execute(f"GRANT SELECT ON LARGE OBJECT {number} TO reader_of_objects")
        standing.execute("SET LOCAL ROLE reader_of_objects")
        by_right = beside_tables.large_objects(standing)
        standing.execute("SET LOCAL ROLE NONE; SELECT lo_put(3, 4000, 'x')")
        other = take(standing).large_objects
    assert whole is not None and other is not None
    assert (whole.objects, whole.bytes) == (3, 105003)
    assert whole == by_right
    assert other.bytes == whole.bytes and other.first != whole.first


@pytest.mark.parametrize(("first", "last", "found", "equal"), [
    ((5, True), (5, True), (5, True), True),
    ((5, True), (5, True), (6, True), False),
    ((5, False), (5, False), (5, True), False),
    ((5, True), (9, True), (7, True), True),
    ((5, True), (9, True), (4, True), False),
    ((5, True), (9, True), (10, True), False),
    ((5, True), (2, True), (77, True), True),
])  # fmt: skip
def test_a_restored_sequence_stands_between_two_readings_or_is_not_judged(
    first: tuple[int, bool], last: tuple[int, bool], found: tuple[int, bool], equal: bool
) -> None:
    for increment in (1, -1):
        one, two, three = (
            {"s": SequenceState(value * increment, called, increment)}
            for value, called in (first, last, found)
        )
        table = {"t": TableFingerprint(("id",), Sums(), {})}
        compared = compare_restored(Fingerprint(table, one, two), Fingerprint(table, three))
        assert compared.is_equal is equal, compared.message


def test_sums_that_outgrow_64_bits_are_exact() -> None:
    big = Sums(1, 2**63 - 1, -(2**63))
    assert big + big + big == Sums(3, 3 * (2**63 - 1), -3 * 2**63)


def test_a_row_text_is_hashed_with_two_seeds(standing: Connection) -> None:
    total = taken(standing).tables["public.sample"].total
    assert total.first != total.second


def test_the_session_keeps_its_settings(standing: Connection) -> None:
    with taken_back(standing):
        standing.execute("SET LOCAL TimeZone = 'Asia/Kolkata'; SET LOCAL search_path = auth")
        taken(standing)
        zone, path = (
            standing.execute(f"SHOW {name}").fetchone() for name in ("TimeZone", "search_path")
        )
    assert (zone, path) == (("Asia/Kolkata",), ("auth",))


def test_row_security_that_could_hide_rows_is_refused(standing: Connection) -> None:
    with taken_back(standing):
        standing.execute("SET LOCAL row_security = on")
        with pytest.raises(Refused, match="setting row_security: found on, expected off"):
            taken(standing)


@pytest.mark.parametrize(
    "owner", [False, True], ids=["a role under policies", "the owner under FORCE"]
)
def test_a_role_that_does_not_see_all_rows_is_refused_instead_of_counting_less(
    standing: Connection, owner: bool
) -> None:
    with taken_back(standing):
        standing.execute(
            "CREATE ROLE tenant; GRANT USAGE ON SCHEMA public TO tenant; GRANT SELECT ON sample TO"
            " tenant"
        )
        standing.execute("ALTER TABLE sample ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        standing.execute("CREATE POLICY own ON sample USING (id = 1)")
        if owner:
            standing.execute("ALTER TABLE sample OWNER TO tenant")
        standing.execute(
            "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO tenant; SET LOCAL ROLE tenant"
        )
        with pytest.raises(
            Refused,
            match="fingerprint of sample: found query would be affected by row-level security",
        ):
            taken(standing)


def test_a_transaction_that_sees_many_instants_is_refused(standing: Connection) -> None:
    refused = pytest.raises(
        Refused, match="transaction_isolation: found read committed, expected repeatable read"
    )
    with standing.transaction(force_rollback=True), refused:
        taken(standing)


@pytest.mark.parametrize("name", ["public.nothing", "sample", "public.ai_message_2024_q4"])
def test_a_table_that_is_not_there_is_refused(standing: Connection, name: str) -> None:
    with pytest.raises(Refused, match="found no table " + name):
        take(standing, [name])


def test_workers_find_what_one_finds_at_the_snapshots_instant(database: Target) -> None:
    def connect() -> Connection:
        return db.connect(database, "fingerprint")

    with connect() as exporting, connect() as application:
        with exporting.transaction():
            exporting.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            row = exporting.execute("SELECT pg_export_snapshot()").fetchone()
            assert row is not None
            application.execute("DELETE FROM widget_data_cache")
            application.execute(
                "INSERT INTO audit_log (action, table_name) VALUES ('LOGIN', 'profile')"
            )
            alone = take(exporting)
            together = take_parallel(connect, row[0], workers=3)
        later = take(exporting)
    assert together == alone
    differing = {verdict.table for verdict in compare(alone, later).differing}
    assert differing == {"public.widget_data_cache", "public.audit_log"}


def test_a_worker_that_fails_ends_the_others_and_is_told(database: Target) -> None:
    numbers = itertools.count(1)

    def connect() -> Connection:
        if next(numbers) == 3:
            raise TargetError("the server takes no more connections")
        return db.connect(database, "fingerprint")

    with db.connect(database, "exporting") as exporting, exporting.transaction():
        exporting.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = exporting.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        with pytest.raises(TargetError, match="no more connections"):
            take_parallel(connect, row[0], workers=2)


def test_memory_on_our_side_does_not_grow_with_the_rows(standing: Connection) -> None:
    with taken_back(standing):
        standing.execute(
            f"INSERT INTO sample (id, org_id) SELECT i, '{FIRST}' FROM generate_series(1, 50000)"
            " AS i"
        )
        table = taken(standing).tables["public.sample"]
    assert table.total.rows == 50_007
    assert set(table.organisations) == {FIRST, SECOND, ""}


def test_a_fingerprint_survives_json(standing: Connection) -> None:
    whole = take(standing)
    assert Fingerprint.from_json(whole.to_json()) == whole
    assert compare(whole, Fingerprint.from_json(whole.to_json())).is_equal


def test_nothing_compared_is_not_equal() -> None:
    nothing = Fingerprint({}, {})
    assert not compare(nothing, nothing).is_equal
    assert compare(nothing, nothing).message == "no table was compared"


def of(
    rows: int, first: int = 0, /, *, columns: tuple[str, ...] = ("id",), **organisations: int
) -> TableFingerprint:
    return TableFingerprint(
        columns, Sums(rows, first), {name: Sums(count) for name, count in organisations.items()}
    )


#: before, after, what is said
MESSAGES = [
    (of(50_000), of(50_000), "1 table with 50,000 rows is equal"),
    (
        of(50_000, abcdefgh12=1000), of(49_812, abcdefgh12=812),
        "customer has 49,812 rows, expected 50,000 (organisation abcdefgh…: 188 fewer)",
    ),
    (of(2), of(3), "customer has 3 rows, expected 2"),
    (of(2, 7), of(2, 8), "customer has 2 rows as expected, but their content differs"),
    (of(2), of(2, columns=("name",)), "customer has lost id, so its content cannot be compared"),
    (of(2), of(2, columns=("id", "x")),
     "customer was hashed over other columns, so its content cannot be compared"),
    (of(2), None, "customer is missing, expected 2 rows"),
    (None, of(2), "customer was not there before, and has 2 rows"),
    (
        of(9, a=1, b=1, c=1, d=1, e=1), of(4),
        "customer has 4 rows, expected 9",
    ),
    (
        of(5, a=1, b=1, c=1, d=1, e=1), of(1, a=0, b=0, c=0, d=0, e=1),
        "customer has 1 row, expected 5 (organisation a…: 1 fewer, organisation b…: 1 fewer,"
        " organisation c…: 1 fewer, 1 more)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "message"), MESSAGES, ids=[row[2][:60] for row in MESSAGES]
)
def test_a_comparison_says_what_is_the_case(
    before: TableFingerprint | None, after: TableFingerprint | None, message: str
) -> None:
    earlier = Fingerprint({"public.customer": before} if before else {}, {})
    later = Fingerprint({"public.customer": after} if after else {}, {})
    comparison = compare(earlier, later)
    assert comparison.message == message
    assert comparison.is_equal == message.endswith("equal")


def test_a_comparison_is_a_frame_and_escaped_html() -> None:
    before = Fingerprint({"public.<b>": of(2), "public.gone": of(1), "public.same": of(1)}, {})
    after = Fingerprint({"public.<b>": of(1), "public.same": of(1)}, {})
    comparison = compare(before, after)
    assert comparison.frame[["table", "verdict", "expected"]].values.tolist() == [
        ["public.<b>", "differs", 2],
        ["public.gone", "differs", 1],
        ["public.same", "equal", 1],
    ]
    shown = comparison._repr_html_()
    assert "2 of 3 tables differ" in shown
    assert "&lt;b&gt; has 1 row, expected 2" in shown
    assert "<b>" not in shown
    assert "4 rows in 3 tables" in before._repr_html_()


def test_a_dsn_of_another_application_may_have_any_settings(
    server: Server, baseline_template: str
) -> None:
    with (
        fresh_database(server, baseline_template) as parameters,
        plain(parameters) as one,
        plain(parameters, "-c TimeZone=Asia/Tokyo -c DateStyle=German") as other,
    ):
        assert take(one) == take(other)


def plain(parameters: dict[str, str], options: str = "") -> Connection:
    return psycopg.connect(**parameters, autocommit=True, options=f"-c row_security=off {options}")
