"""Migration files are read as PostgreSQL reads them, and refused with everything that has to
change.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from mantis_runbook.errors import MigrationFileError, ParameterError
from mantis_runbook.migrations.files import (
    dependents,
    find,
    load,
    order_for,
    parse_statements,
    read_script,
)
from mantis_runbook.postgres.connection import Connection

DATA = Path(__file__).parent.parent / "data"
MIGRATIONS, STRATEGY = DATA / "migrations", DATA / "strategy"
HEADER = "-- Migration 001: Title\n-- phase: 1\n"

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a script of the given text or bytes, and gives its path."""

    def write(content: str | bytes, name: str = "001_x.sql") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The small migrations, to be broken."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


def refusal(path: Path, **given: str) -> str:
    with pytest.raises(MigrationFileError) as refused:
        read_script(path, **given)
    return str(refused.value)


# Reading
# --------------------------------------------------------------------------------------------------


def test_migrations_are_read_in_order_of_their_numbers() -> None:
    migrations = load(MIGRATIONS)
    assert [one.label for one in migrations] == ["001 ratings", "002 reviews", "010 remarks"]
    assert [(one.title, one.phase, one.requires) for one in migrations] == [
        ("Ratings of customers", "1", ()),
        ("Reviews", "2", ("001",)),
        ("Remarks", "2", ("002",)),
    ]


def test_a_script_is_cut_into_its_steps() -> None:
    steps = load(MIGRATIONS)[0].up.steps
    assert [
        (one.name, one.line, len(one.statements), one.transactional, one.batched_over)
        for one in steps
    ] == [
        ("table of ratings", 6, 2, True, None),
        ("ratings belong to customers", 14, 1, True, None),
        ("validate ratings of customers", 18, 1, True, None),
        ("customers have a rating", 21, 1, True, None),
        ("rate every customer", 24, 1, True, "customer"),
        ("index customers by rating", 27, 1, False, None),
    ]


def test_those_that_require_a_version_are_found_by_way_of_others() -> None:
    migrations = load(MIGRATIONS)
    assert [one.version for one in dependents(migrations, "001")] == ["002", "010"]
    assert dependents(migrations, "010") == ()
    assert [one.version for one in order_for(migrations, "2")] == ["002", "010"]
    assert find(migrations, "002").name == "reviews"
    with pytest.raises(
        ParameterError,
        match=r"migration: found '1', expected one of 001, 002, 010; choose one of them",
    ):
        find(migrations, "1")


def test_a_checksum_is_that_of_the_bytes_and_changes_with_any_of_the_three_files(
    folder: Path,
) -> None:
    before = load(folder)[0]
    assert (
        before.up.checksum == hashlib.sha256((folder / "001_ratings.sql").read_bytes()).hexdigest()
    )
    for role in ("", "_rollback", "_validate"):
        path = folder / f"001_ratings{role}.sql"
        original = path.read_bytes()
        path.write_bytes(original + b"\n-- more\n")
        assert load(folder)[0].checksum != before.checksum
        path.write_bytes(original)
    assert load(folder)[0].checksum == before.checksum


def test_a_steps_hash_ignores_comments_around_statements_and_nothing_else(written: Written) -> None:
    def hashed(text: str) -> str:
        return read_script(written(text)).steps[0].sha256

    plain = hashed("-- step: a\nSELECT 1;\n")
    assert hashed("\n\n-- step: b\n-- why\nSELECT 1 ; -- because\n") == plain
    assert hashed("-- step: a\nSELECT 2;\n") != plain
    assert hashed("-- step: a\nSELECT 1; SELECT 1;\n") != plain


CUTS = {
    "a step line in a dollar quote": (
        "DO $$\n-- step: not one\nBEGIN END $$;",
        ["DO $$\n-- step: not one\nBEGIN END $$"],
    ),
    "a step line in a tagged dollar quote": (
        "DO $body$\n-- step: $$ no\nBEGIN END $body$;",
        ["DO $body$\n-- step: $$ no\nBEGIN END $body$"],
    ),
    "a step line in a string": ("SELECT 'a\n-- step: no\n';", ["SELECT 'a\n-- step: no\n'"]),
    "a step line in an escape string": (
        r"SELECT E'it\'s; " + "\n-- step: no';",
        [r"SELECT E'it\'s; " + "\n-- step: no'"],
    ),
    "a step line in an identifier": (
        'SELECT 1 AS "x\n-- step: no";',
        ['SELECT 1 AS "x\n-- step: no"'],
    ),
    "a step line in a nested comment": ("/* a /* b */\n-- step: no\n*/ SELECT 1;", ["SELECT 1"]),
    "semicolons of a function's body": (
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;"
            " SELECT 3;"
        ),
        [
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
            "SELECT 3",
        ],
    ),
    "a parameter of a function": (
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT $1; END;",
        ["CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT $1; END"],
    ),
    "characters of many bytes": (
        "/* été 🦗 */ SELECT 'é🦗';\n-- ß\nSELECT 2;",
        ["SELECT 'é🦗'", "SELECT 2"],
    ),
    "empty statements": (";; SELECT 1;;\n;SELECT 2;;", ["SELECT 1", "SELECT 2"]),
    "no newline and no semicolon at the end": ("SELECT 1", ["SELECT 1"]),
    "a comment at the end": ("SELECT 1 -- one", ["SELECT 1"]),
    "comments within a statement": ("SELECT /* x */ 1 -- y\n, 2;", ["SELECT /* x */ 1 -- y\n, 2"]),
    "a nested expression deeper than protobuf's default": (
        "SELECT " + " || ".join(["'a'"] * 300) + ";",
        ["SELECT " + " || ".join(["'a'"] * 300)],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CUTS.values(), ids=CUTS)
def test_statements_are_cut_where_postgresql_cuts_them(
    text: str, expected: list[str], written: Written
) -> None:
    script = read_script(written(f"-- step: only\n{text}"))
    assert [one.name for one in script.steps] == ["only"]
    assert [one.text for one in script.steps[0].statements] == expected


def test_line_ends_of_windows_stay_as_they_are(written: Written) -> None:
    lines = [
        "-- Migration 001: Title", "-- phase: 1", "-- step: a", "SELECT $$x", "y$$;",
        "-- step: b  batched over t",
        "DELETE FROM t", "WHERE id > $1 AND id <= $2;", "",
    ]  # fmt: skip
    text = "\r\n".join(lines)
    script = read_script(written(text), version="001")
    assert script.text == text
    assert [(one.name, one.line, one.batched_over) for one in script.steps] == [
        ("a", 3, None),
        ("b", 6, "t"),
    ]
    assert script.steps[0].statements[0].text == "SELECT $$x\r\ny$$"


SUMMARIES = {
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON api_key (a) WHERE a > 1": (
        "CREATE INDEX CONCURRENTLY i ON api_key"
    ),
    'CREATE UNIQUE INDEX "Odd" ON auth.users (id)': 'CREATE UNIQUE INDEX "Odd" ON auth.users',
    "CREATE TABLE IF NOT EXISTS t (a int)": "CREATE TABLE t",
    "ALTER TABLE t ADD COLUMN a int": "ALTER TABLE t ADD COLUMN a int",
    "CREATE OR REPLACE FUNCTION app.f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'": (
        "CREATE OR REPLACE FUNCTION app.f"
    ),
    "CREATE POLICY p ON t USING (true)": "CREATE POLICY p ON t",
    "DO $$ BEGIN END $$": "DO block",
    "UPDATE t SET a = 1": "UPDATE t",
    "GRANT SELECT ON t TO r": "GRANT SELECT ON t TO r",
}


@pytest.mark.parametrize(("text", "expected"), SUMMARIES.items())
def test_a_statement_says_shortly_what_it_is(text: str, expected: str) -> None:
    assert parse_statements(text)[0].summary == expected


def test_a_statement_knows_its_index_kind_line_and_hash() -> None:
    first, second = parse_statements('SELECT 1;\n\n -- x\nCREATE INDEX "I" ON app.t (a);')
    assert (first.kind, first.line, first.index) == ("SelectStmt", 1, None)
    assert (second.kind, second.line, second.index) == ("IndexStmt", 4, 'app."I"')
    assert first.sha256 == hashlib.sha256(b"SELECT 1").hexdigest()


# What cannot run in a transaction
# --------------------------------------------------------------------------------

OUTSIDE = [
    "CREATE INDEX CONCURRENTLY i2 ON plain (a)",
    "DROP INDEX CONCURRENTLY plain_a",
    "REINDEX TABLE CONCURRENTLY plain",
    "REINDEX (VERBOSE, CONCURRENTLY) INDEX plain_a",
    "REINDEX SCHEMA public",
    "REINDEX DATABASE {database}",
    "REINDEX SYSTEM {database}",
    "ALTER TABLE parent DETACH PARTITION part CONCURRENTLY",
    "CLUSTER",
    "VACUUM",
    "VACUUM plain",
    "VACUUM (FULL) plain",
    "VACUUM (ANALYZE) plain",
    "ALTER SYSTEM SET work_mem = '5MB'",
    "CREATE DATABASE another",
    "DROP DATABASE IF EXISTS another",
    "CREATE TABLESPACE space LOCATION '/tmp'",
    "DROP TABLESPACE IF EXISTS space",
    "ALTER DATABASE {database} SET TABLESPACE pg_default",
    "CREATE SUBSCRIPTION s2 CONNECTION 'dbname=no' PUBLICATION p",
    "CREATE SUBSCRIPTION s2 CONNECTION 'dbname=no' PUBLICATION p WITH (create_slot = on)",
    "ALTER SUBSCRIPTION s1 REFRESH PUBLICATION",
    "ALTER SUBSCRIPTION s1 SET PUBLICATION p",
    "DROP SUBSCRIPTION s1",
    "DISCARD ALL",
]
INSIDE = [
    "CREATE INDEX i2 ON plain (a)",
    "DROP INDEX plain_a",
    "REINDEX TABLE plain",
    "REINDEX (CONCURRENTLY false) INDEX plain_a",
    "ALTER TABLE parent DETACH PARTITION part",
    "CLUSTER plain USING plain_a",
    "ANALYZE",
    "ANALYZE plain",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY view",
    "ALTER TYPE mood ADD VALUE 'new'",
    "ALTER DATABASE {database} SET work_mem = '5MB'",
    "CREATE SUBSCRIPTION s2 CONNECTION 'dbname=no' PUBLICATION p WITH (connect = false)",
    "ALTER SUBSCRIPTION s1 SET PUBLICATION p WITH (refresh = false)",
    "DISCARD PLANS",
    "TRUNCATE plain",
    "ALTER TABLE plain SET (fillfactor = 90)",
]
GROUND = """
CREATE TABLE plain (a int); CREATE INDEX plain_a ON plain (a);
CREATE TABLE parent (a int) PARTITION BY LIST (a);
CREATE TABLE part PARTITION OF parent FOR VALUES IN (1);
CREATE MATERIALIZED VIEW view AS SELECT 1 AS a; CREATE UNIQUE INDEX view_a ON view (a);
CREATE TYPE mood AS ENUM ('old');
CREATE SUBSCRIPTION s1 CONNECTION 'dbname=no' PUBLICATION p
    WITH (connect = false, slot_name = 'no');
ALTER SUBSCRIPTION s1 ENABLE;
"""


@pytest.fixture
def ground(baseline: Connection) -> Iterator[Connection]:
    """A database with something to reindex, detach, refresh and unsubscribe."""
    baseline.execute("CREATE SCHEMA ground")
    baseline.execute("SET search_path = ground")
    baseline.execute("SET client_min_messages = error")
    for statement in GROUND.replace("\n", " ").split(";")[:-1]:
        baseline.execute(statement)
    yield baseline
    baseline.execute("ALTER SUBSCRIPTION s1 DISABLE")
    baseline.execute("ALTER SUBSCRIPTION s1 SET (slot_name = NONE)")
    baseline.execute("DROP SUBSCRIPTION s1")


def refused_inside(connection: Connection, statement: str) -> bool:
    """Whether the server says 25001, active_sql_transaction; everything is rolled back."""
    connection.execute("BEGIN")
    try:
        connection.execute(statement)
    except psycopg.errors.ActiveSqlTransaction:
        return True
    finally:
        connection.execute("ROLLBACK")
    return False


def test_the_server_agrees_with_the_parse_on_what_cannot_run_in_a_transaction(
    ground: Connection,
) -> None:
    for texts, expected in ((OUTSIDE, True), (INSIDE, False)):
        for template in texts:
            text = template.format(database=ground.info.dbname)
            assert parse_statements(text)[0].outside_transaction is expected, text
            assert refused_inside(ground, text) is expected, text


# Refusals of one file
# --------------------------------------------------------------------------------------------

TRANSACTION = "leave it out: the engine opens and commits one transaction a step"
LEDGER = "leave it out: the engine writes the ledger, in a transaction of its own"
ALONE = "give it a step of its own: it cannot run inside a transaction"
BATCH = "write one UPDATE, DELETE or INSERT … SELECT of the rows whose key is > $1 and <= $2"
SYNTAX = "expected SQL of PostgreSQL, each statement ended by a semicolon; correct the statement"

REFUSALS = {
    "a syntax error": (
        "-- step: a\nSELECT 'é' FORM t;\n",
        "001_x.sql:2:17: found syntax error at or near \"t\", in: SELECT 'é' FORM t;, " + SYNTAX,
    ),
    "an open string": (
        "-- step: été\nSELECT 'open;\n",
        '001_x.sql:2:8: found unterminated quoted string at or near "\'open;\n", in: SELECT'
        " 'open;, " + SYNTAX,
    ),
    "a forgotten semicolon": (
        "-- step: a\nDROP TABLE u\n-- step: b\nCREATE TABLE t (a int);\n",
        '001_x.sql:4:1: found syntax error at or near "CREATE", in: CREATE TABLE t (a int);, '
        + SYNTAX,
    ),
    "a psql command": (
        "-- step: a\n\\i other.sql\nSELECT 1;\n",
        (
            "001_x.sql:2: found the psql command \\i other.sql, expected SQL only: the server"
            " executes this file, not psql; put the SQL itself into the file"
        ),
    ),
    "a psql command behind a query": (
        "-- step: a\nSELECT 1 AS a \\gset\n",
        (
            "001_x.sql:2: found the psql command \\gset, expected SQL only: the server executes"
            " this file, not psql; put the SQL itself into the file"
        ),
    ),
    "rows for COPY": (
        "-- step: a\nCOPY t FROM stdin;\n",
        (
            "001_x.sql:2: found COPY t FROM stdin; write INSERT … VALUES: there is no client to"
            " send rows"
        ),
    ),
    "Latin 1": (
        b"-- step: a\nSELECT '\xe9';\n",
        "001_x.sql:2: found the byte 0xe9, expected UTF-8; save the file as UTF-8",
    ),
    "a byte order mark": (
        b"\xef\xbb\xbf-- step: a\nSELECT 1;\n",
        (
            "001_x.sql:1: found a byte order mark, expected UTF-8 without one; save the file"
            " without it"
        ),
    ),
    "a NUL, behind which the parser sees nothing": (
        b"-- step: a\nSELECT 1;\n\x00DROP TABLE t;\n",
        (
            "001_x.sql:3: found a NUL character, expected text; remove it: for PostgreSQL the text"
            " ends there"
        ),
    ),
    "no steps": (
        "-- nothing\n",
        "001_x.sql:1: found no steps; write '-- step: <name>' and the statements of the step",
    ),
    "an empty step": (
        "-- step: a\n-- nothing\n-- step: b\nSELECT 1;\n",
        "001_x.sql:1: found step 'a' is empty; remove it, or write its statements",
    ),
    "a step without a name": (
        "-- step:\nSELECT 1;\n",
        "001_x.sql:1: found a step without a name; say what it does: -- step: contacts of readers",
    ),
    "a name used twice": (
        "-- step: a\nSELECT 1;\n-- step: a\nSELECT 2;\n",
        "001_x.sql:3: found a second step 'a' (the first: line 1); rename one",
    ),
    "an unknown marker": (
        "-- step: a  batched by t\nSELECT 1;\n",
        (
            "001_x.sql:1: found unknown marker 'batched by t'; write 'batched over <table>' (and"
            " then 'without triggers' where it is meant), or single spaces"
        ),
    ),
    "an unknown marker behind a known one": (
        "-- step: a  batched over t  without thinking\nDELETE FROM t WHERE id > $1 AND id <= $2;\n",
        (
            "001_x.sql:1: found unknown marker 'without thinking'; write 'batched over <table>'"
            " (and then 'without triggers' where it is meant), or single spaces"
        ),
    ),
    "two tables to batch over": (
        "-- step: a  batched over t  batched over u\nDELETE FROM t WHERE id > $1 AND id <= $2;\n",
        "001_x.sql:1: found a second table to batch over; keep one",
    ),
    "a step line inside a statement": (
        "-- step: a\nSELECT 1,\n-- step: b\n2;\n",
        "001_x.sql:3: found a step line inside a statement; end the statement before it",
    ),
    "a step line inside a function of SQL": (
        (
            "-- step: a\nCREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC\n-- step:"
            " b\nSELECT 1; END;\n"
        ),
        "001_x.sql:3: found a step line inside a statement; end the statement before it",
    ),
    "a step line behind a statement": (
        "-- step: a\nSELECT 1; -- step: b\n",
        "001_x.sql:2: found a step line behind a statement; give it a line of its own",
    ),
    "an index built concurrently without a name": (
        "-- step: a\nCREATE INDEX CONCURRENTLY ON t (a);\n",
        (
            "001_x.sql:2: found CREATE INDEX CONCURRENTLY ON t, without a name for the index; "
            "name it: without a name an invalid leftover could not be told from it"
        ),
    ),
    "a parameter where nobody gives one": (
        "-- step: a\nUPDATE t SET a = $1;\n",
        (
            "001_x.sql:2: found a parameter ($1) in step 'a', which is not batched; "
            "write the value, or mark the step: -- step: <name>  batched over <table>"
        ),
    ),
}


@pytest.mark.parametrize(("content", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_where_what_and_what_to_do(
    content: str | bytes, expected: str, written: Written
) -> None:
    assert refusal(written(content)) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "BEGIN", "START TRANSACTION", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT s",
        "RELEASE s",
        "ROLLBACK TO SAVEPOINT s", "COMMIT AND CHAIN", "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
        "ROLLBACK PREPARED 'x'",
    ],
)  # fmt: skip
def test_transactions_belong_to_the_engine(statement: str, written: Written) -> None:
    assert (
        refusal(written(f"-- step: a\nSELECT 1;\n{statement};\n"))
        == f"001_x.sql: one thing has to change\n  line 3: {statement}; {TRANSACTION}\nas steps:\n"
        "  -- step: a\n  SELECT 1;"
    )


LEDGER_STATEMENTS = {
    "INSERT INTO schema_migrations (version) VALUES ('001')": True,
    "UPDATE public.schema_migrations SET status = 'completed'": True,
    "DELETE FROM migration_backups": True,
    "TRUNCATE customer, schema_migrations": True,
    "WITH done AS (DELETE FROM schema_migrations RETURNING *) SELECT * FROM done": True,
    "MERGE INTO mantis_runbook.schema_migrations USING x ON true WHEN MATCHED THEN DELETE": True,
    "SELECT * FROM schema_migrations": False,
    "INSERT INTO seen SELECT version FROM schema_migrations": False,
    "INSERT INTO other.schema_migrations VALUES (1)": False,
    "SELECT 'INSERT INTO schema_migrations'": False,
}


@pytest.mark.parametrize(("statement", "refused"), LEDGER_STATEMENTS.items())
def test_the_ledger_belongs_to_the_engine(statement: str, refused: bool, written: Written) -> None:
    path = written(f"-- step: a\nSELECT 1;\n{statement};\n")
    if refused:
        assert f"(a ledger statement); {LEDGER}\n" in refusal(path)
    else:
        assert len(read_script(path).steps[0].statements) == 2


def test_a_statement_outside_a_transaction_needs_a_step_of_its_own(written: Written) -> None:
    text = (
        "-- step: indexes\nCREATE INDEX CONCURRENTLY i ON customer (a);\nCREATE INDEX CONCURRENTLY"
        " j ON customer (b);\n"
    )
    assert (
        refusal(written(text))
        == "001_x.sql: 2 things have to change\n  line 2: CREATE INDEX CONCURRENTLY i ON customer,"
        f" together with others in step 'indexes'; {ALONE}\n  line 3: CREATE INDEX CONCURRENTLY"
        f" j ON customer, together with others in step 'indexes'; {ALONE}\nas steps:\n  -- step:"
        " indexes\n  CREATE INDEX CONCURRENTLY i ON customer (a);\n  -- step: build j\n  CREATE"
        " INDEX CONCURRENTLY j ON customer (b);"
    )


BATCHES = {
    "UPDATE t SET a = 1 WHERE id > $1 AND id <= $2": "",
    "UPDATE t SET a = 1 WHERE $1::uuid < id AND $2::uuid >= id": "",
    "DELETE FROM t WHERE id > $1 AND id <= $2": "",
    "INSERT INTO u SELECT id FROM t WHERE id > $1 AND id <= $2": "",
    "WITH x AS (SELECT id FROM t WHERE id > $1 AND id <= $2) DELETE FROM u USING x WHERE u.id = x.id": (
        ""
    ),
    "SELECT f(id) FROM t WHERE id > $1 AND id <= $2": "is SELECT f",
    "INSERT INTO t VALUES ($1, $2)": "is INSERT INTO t",
    "UPDATE t SET a = 1": "uses no parameters",
    "UPDATE t SET a = 1 WHERE id > $1": "uses $1",
    "UPDATE t SET a = $3 WHERE id > $1 AND id <= $2": "uses $1, $2, $3",
    "UPDATE t SET a = 1 WHERE id >= $1 AND id <= $2": "compares $1 by >=",
    "UPDATE t SET a = 1 WHERE id > $1 AND id < $2": "compares $2 by <",
    "UPDATE t SET a = 1 WHERE id BETWEEN $1 AND $2": "compares $1 by BETWEEN",
    "UPDATE t SET a = $1 WHERE id <= $2": "compares nothing with $1",
    "UPDATE u SET a = 1 WHERE id > $1 AND id <= $2": "touches only u",
}


@pytest.mark.parametrize(("statement", "flaw"), BATCHES.items())
def test_a_backfill_takes_each_row_once(statement: str, flaw: str, written: Written) -> None:
    path = written(f"-- step: fill     batched over t\n{statement};\n")
    if flaw:
        assert refusal(path) == f"001_x.sql:2: found step 'fill', batched over t, {flaw}; {BATCH}"
    else:
        assert read_script(path).steps[0].batched_over == "t"


def test_a_backfill_is_one_statement(written: Written) -> None:
    text = "-- step: fill  batched over t\nDELETE FROM t WHERE id > $1 AND id <= $2;\nSELECT 1;\n"
    assert (
        refusal(written(text))
        == "001_x.sql:3: found step 'fill', batched over t, has 2 statements; keep one a step"
    )


HEADERS = {
    "-- phase: 1": (
        "001_x.sql:1: found no title; begin the file with a line such as: -- Migration 001: what it"
        " brings"
    ),
    "-- Migration 002: T\n-- phase: 1": (
        "001_x.sql:1: found the title says migration 002, the file's name says 001; correct one"
    ),
    "-- Migration 001: T": (
        "001_x.sql:1: found no phase, so no notebook would apply it; add a line such as: --"
        " phase: 2"
    ),
    "-- Migration 001: T\n-- phase: two": (
        "001_x.sql:2: found phase 'two' is no number; add a line such as: -- phase: 2"
    ),
    "-- Migration 001: T\n-- phase: 1\n-- phase: 2": "001_x.sql:3: found a second phase; keep one",
    "-- Migration 001: T\n-- phase: 1\n-- requires: core": (
        "001_x.sql:3: found requires 'core'; name versions by their numbers, separated by commas:"
        " 001, 002"
    ),
    "/* -- Migration 001: T\n-- phase: 1 */\n-- Migration 001: T": (
        "001_x.sql:1: found no phase, so no notebook would apply it; add a line such as: --"
        " phase: 2"
    ),
}


@pytest.mark.parametrize(("header", "expected"), HEADERS.items())
def test_the_header_says_title_phase_and_requirements(
    header: str, expected: str, written: Written
) -> None:
    assert refusal(written(f"{header}\n-- step: a\nSELECT 1;\n"), version="001") == expected


# Refusals of a folder
# --------------------------------------------------------------------------------------------


def refusal_of(folder: Path) -> str:
    with pytest.raises(MigrationFileError) as refused:
        load(folder)
    return str(refused.value)


def test_a_migration_without_a_way_back_or_a_proof_is_refused(folder: Path) -> None:
    (folder / "002_reviews_rollback.sql").unlink()
    assert (
        refusal_of(folder) == "migrations/002_reviews.sql: found no 002_reviews_rollback.sql, "
        "expected a way back and a proof for every migration; write what is missing"
    )
    (folder / "002_reviews_validate.sql").unlink()
    assert "found no 002_reviews_rollback.sql and no 002_reviews_validate.sql" in refusal_of(folder)


def test_a_rollback_of_nothing_is_refused(folder: Path) -> None:
    (folder / "003_gone_rollback.sql").write_text("-- step: a\nSELECT 1;\n")
    assert (
        refusal_of(folder)
        == "migrations/003_gone_rollback.sql: found no migration of that name, expected"
        " 003_gone.sql beside it; give both the same number and name, or remove what is left"
        " over"
    )


def test_a_number_used_twice_is_refused(folder: Path) -> None:
    for role in ("", "_rollback", "_validate"):
        shutil.copy(folder / f"002_reviews{role}.sql", folder / f"0002_again{role}.sql")
    assert (
        refusal_of(folder)
        == "migration number 0002: found 0002_again.sql and 002_reviews.sql, expected each number"
        " once; give the later one the next free number"
    )


@pytest.mark.parametrize(
    "name", ["reviews.sql", "2_reviews.sql", "003-reviews.sql", "003_Reviews.sql", "003_x.SQL"]
)
def test_a_name_that_is_no_migrations_is_refused(name: str, folder: Path) -> None:
    (folder / name).write_text("SELECT 1;\n")
    assert (
        refusal_of(folder)
        == f"migrations/{name}: found a name that is no migration's, expected NNN_name.sql,"
        " NNN_name_rollback.sql or NNN_name_validate.sql, in lower case; rename the file, or"
        " move it elsewhere"
    )


@pytest.mark.parametrize(
    ("requires", "found"),
    [
        ("010", "a later version"),
        ("002", "no such version before it"),
        ("009", "no such version before it"),
    ],
)
def test_a_migration_requires_earlier_ones_only(requires: str, found: str, folder: Path) -> None:
    path = folder / "002_reviews.sql"
    path.write_text(path.read_text().replace("requires: 001", f"requires: 001, {requires}"))
    assert (
        refusal_of(folder)
        == f"002_reviews.sql requires {requires}: found {found}, expected an earlier one (001); "
        "correct the requires line, or renumber"
    )


def test_all_files_that_cannot_be_used_are_named_at_once(folder: Path) -> None:
    (folder / "001_ratings.sql").write_text(HEADER + "-- step: a\nSELEC 1;\n")
    (folder / "002_reviews_rollback.sql").write_text("-- step: a\n")
    assert refusal_of(folder) == (
        "2 migration files cannot be used\n\n"
        f'001_ratings.sql:4:1: found syntax error at or near "SELEC", in: SELEC 1;, {SYNTAX}\n\n'
        "002_reviews_rollback.sql:1: found step 'a' is empty; remove it, or write its statements"
    )


# The strategy's own scripts
# --------------------------------------------------------------------------------------


def test_the_strategys_001_is_refused_with_everything_that_has_to_change() -> None:
    together = "together with others in one transaction"
    assert (
        refusal(STRATEGY / "001_core_enhancements.sql", version="001")
        == "001_core_enhancements.sql: 9 things have to change\n  line 1: no title; begin the file"
        " with a line such as: -- Migration 001: what it brings\n  line 1: no phase, so no"
        " notebook would apply it; add a line such as: -- phase: 2\n  line 5: BEGIN;"
        f" {TRANSACTION}\n  line 5: 15 statements before the first step; put a line '-- step:"
        " <name>' above what shall succeed or fail together\n  line 8: INSERT INTO"
        f" schema_migrations (a ledger statement); {LEDGER}\n  line 65: CREATE INDEX"
        f" CONCURRENTLY idx_oauth_provider_name ON oauth_provider, {together}; {ALONE}\n  line"
        " 66: CREATE INDEX CONCURRENTLY idx_oauth_provider_active ON oauth_provider,"
        f" {together}; {ALONE}\n  line 69: UPDATE schema_migrations (a ledger statement);"
        f" {LEDGER}\n  line 73: COMMIT; {TRANSACTION}\nas steps:\n  -- step: extensions\n "
        ' CREATE EXTENSION IF NOT EXISTS "uuid-ossp";\n  CREATE EXTENSION IF NOT EXISTS'
        ' "hstore";\n  CREATE EXTENSION IF NOT EXISTS "ltree";\n  CREATE EXTENSION IF NOT'
        ' EXISTS "pg_trgm";\n  CREATE EXTENSION IF NOT EXISTS "btree_gin";\n  CREATE EXTENSION'
        ' IF NOT EXISTS "btree_gist";\n  -- step: types\n  DO block …;\n  -- step:'
        " oauth_provider\n  CREATE TABLE oauth_provider …;\n  ALTER TABLE oauth_provider ENABLE"
        " ROW LEVEL SECURITY;\n  -- step: build idx_oauth_provider_name\n  CREATE INDEX"
        " CONCURRENTLY IF NOT EXISTS idx_oauth_provider_name ON oauth_provider(name);\n  --"
        " step: build idx_oauth_provider_active\n  CREATE INDEX CONCURRENTLY"
        " idx_oauth_provider_active ON oauth_provider …;"
    )


def test_the_strategys_002_is_refused_and_its_foreign_key_is_parted_from_its_table() -> None:
    message = refusal(STRATEGY / "002_crm_sales_modules.sql", version="002")
    assert message.startswith("002_crm_sales_modules.sql: 10 things have to change\n")
    assert (
        message.partition("as steps:\n")[2]
        == "  -- step: customer_contact\n  CREATE TABLE customer_contact (…);  -- its columns and"
        " checks, without REFERENCES customer\n  ALTER TABLE customer_contact ENABLE ROW LEVEL"
        " SECURITY;\n  CREATE POLICY tenant_isolation ON customer_contact …;\n  -- step:"
        " customer_contact refers to customer\n  ALTER TABLE customer_contact ADD CONSTRAINT"
        " customer_contact_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customer (id)"
        " ON DELETE CASCADE NOT VALID;\n  -- step: validate customer_contact_customer_id_fkey\n "
        " ALTER TABLE customer_contact VALIDATE CONSTRAINT customer_contact_customer_id_fkey;\n "
        " -- step: build idx_customer_contact_customer\n  CREATE INDEX CONCURRENTLY"
        " idx_customer_contact_customer ON customer_contact(customer_id);\n  -- step: build"
        " idx_customer_contact_email\n  CREATE INDEX CONCURRENTLY idx_customer_contact_email ON"
        " customer_contact(email) WHERE email IS NOT NULL;\n  -- step: build"
        " idx_customer_contact_primary\n  CREATE INDEX CONCURRENTLY idx_customer_contact_primary"
        " ON customer_contact …;"
    )


def test_the_strategys_rollback_is_refused_and_loses_its_cascade() -> None:
    message = refusal(STRATEGY / "001_core_enhancements_rollback.sql")
    assert (
        message.partition("as steps:\n")[2]
        == "  -- step: DROP TABLE IF EXISTS oauth_provider\n  DROP TABLE IF EXISTS"
        " oauth_provider;\n  -- step: DROP TYPE IF EXISTS currency_code CASCADE\n  DROP TYPE IF"
        " EXISTS currency_code;  -- without CASCADE, which would decide for you what goes too\n "
        " -- step: DROP TYPE IF EXISTS payment_status CASCADE\n  DROP TYPE IF EXISTS"
        " payment_status;  -- without CASCADE, which would decide for you what goes too"
    )
