"""The catalogue: one change is one difference, a restored dump has none, and nothing else counts as
one.
"""

from __future__ import annotations

import pickle
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from conftest import fresh_database
from psycopg.conninfo import make_conninfo

from mantis_runbook.errors import ParameterError
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.catalog import (
    FIRST_CLASSES,
    Catalog,
    Change,
    Difference,
    diff,
    snapshot,
)
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

AWKWARD = Path(__file__).parent.parent / "data" / "awkward.sql"

ROLES = """
DO $$ BEGIN
    CREATE ROLE catalog_reader;
    CREATE ROLE catalog_writer;
EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""

FUNCTION = "CREATE FUNCTION public.answer(integer) RETURNS integer LANGUAGE sql AS 'SELECT 42'"
OTHER_FUNCTION = FUNCTION.replace("42", "43").replace("CREATE", "CREATE OR REPLACE")
TRIGGER = (
    "CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
)
NOTICE = "CREATE FUNCTION public.notice() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'"
SAMPLE = "CREATE TABLE public.sample (id integer NOT NULL, note text, size integer)"
NAMED = "CREATE TABLE public.sample (id integer CONSTRAINT first CHECK (id > 0), note varchar)"
INDEXED = f"{SAMPLE}; CREATE UNIQUE INDEX sample_id ON public.sample (id)"
HALVES = "CREATE TABLE public.half (LIKE public.sample) PARTITION BY RANGE (id)"

#: what is there before, the one change, and the one difference: class, name, verb
CHANGES = [
    ("", "CREATE SCHEMA sales", "schemas", "sales", "added"),
    ("CREATE SCHEMA sales", "ALTER SCHEMA sales OWNER TO catalog_reader", "schemas", "sales",
     "changed"),
    ("", "CREATE EXTENSION hstore", "extensions", "hstore", "added"),
    ("", "ALTER TYPE customer_status ADD VALUE 'dormant'", "enums", "public.customer_status",
     "changed"),
    ("", "ALTER TYPE customer_status RENAME VALUE 'churned' TO 'lost'", "enums",
     "public.customer_status", "changed"),
    ("", "CREATE TYPE mood AS ENUM ('good')", "enums", "public.mood", "added"),
    ("", "CREATE DOMAIN email AS text CHECK (VALUE ~ '@')", "types", "public.email", "added"),
    ("CREATE DOMAIN email AS text", "ALTER DOMAIN email SET NOT NULL", "types", "public.email",
     "changed"),
    ("CREATE DOMAIN email AS text", "ALTER DOMAIN email SET DEFAULT 'x'", "types", "public.email",
     "changed"),
    ("CREATE TYPE pair AS (a integer)", "ALTER TYPE pair ADD ATTRIBUTE b text", "types",
     "public.pair", "changed"),
    ("", "CREATE TYPE span AS RANGE (subtype = float8)", "types", "public.span", "added"),
    ("", "CREATE TABLE public.bare ()", "tables", "public.bare", "added"),
    ("", "ALTER TABLE customer SET (fillfactor = 80)", "tables", "public.customer", "changed"),
    ("", "ALTER TABLE customer DISABLE ROW LEVEL SECURITY", "tables", "public.customer", "changed"),
    ("", "ALTER TABLE customer FORCE ROW LEVEL SECURITY", "tables", "public.customer", "changed"),
    ("", "ALTER TABLE customer REPLICA IDENTITY FULL", "tables", "public.customer", "changed"),
    (SAMPLE, "ALTER TABLE sample OWNER TO catalog_reader", "tables", "public.sample", "changed"),
    (SAMPLE, "ALTER TABLE sample SET UNLOGGED", "tables", "public.sample", "changed"),
    (
        f"{SAMPLE}; {HALVES}; ALTER TABLE half ATTACH PARTITION sample FOR VALUES FROM (0) TO (9)",
        "ALTER TABLE half DETACH PARTITION sample", "tables", "public.sample", "changed",
    ),
    (
        f"{SAMPLE}; {HALVES}; ALTER TABLE half ATTACH PARTITION sample FOR VALUES FROM (0) TO (9)",
        "ALTER TABLE half DETACH PARTITION sample;"
        " ALTER TABLE half ATTACH PARTITION sample FOR VALUES FROM (0) TO (8)",
        "tables", "public.sample", "changed",
    ),
    ("", "ALTER TABLE customer ADD COLUMN vat_id text", "columns", "public.customer.vat_id",
     "added"),
    (SAMPLE, "ALTER TABLE sample DROP COLUMN size", "columns", "public.sample.size", "removed"),
    ("", "ALTER TABLE customer ALTER phone TYPE varchar(40)", "columns", "public.customer.phone",
     "changed"),
    (SAMPLE, "ALTER TABLE sample ALTER size TYPE numeric(9,2)", "columns", "public.sample.size",
     "changed"),
    ("", "ALTER TABLE customer ALTER status SET DEFAULT 'active'", "columns",
     "public.customer.status", "changed"),
    ("", "ALTER TABLE customer ALTER tags DROP DEFAULT", "columns", "public.customer.tags",
     "changed"),
    ("", "ALTER TABLE customer ALTER org_id DROP NOT NULL", "columns", "public.customer.org_id",
     "changed"),
    (SAMPLE, "ALTER TABLE sample ALTER note SET NOT NULL", "columns", "public.sample.note",
     "changed"),
    (SAMPLE, "ALTER TABLE sample ALTER note SET STATISTICS 500", "columns", "public.sample.note",
     "changed"),
    (SAMPLE, "ALTER TABLE sample ALTER note SET (n_distinct = 7)", "columns", "public.sample.note",
     "changed"),
    (SAMPLE, 'ALTER TABLE sample ALTER note TYPE text COLLATE "C"', "columns", "public.sample.note",
     "changed"),
    (
        SAMPLE, "ALTER TABLE sample ADD twice integer GENERATED ALWAYS AS (size * 2) STORED",
        "columns", "public.sample.twice", "added",
    ),
    (
        "CREATE TABLE sample (id integer GENERATED ALWAYS AS IDENTITY)",
        "ALTER TABLE sample ALTER id SET GENERATED BY DEFAULT", "columns", "public.sample.id",
        "changed",
    ),
    (
        "", "ALTER TABLE customer ADD CONSTRAINT named CHECK (name <> '')",
        "constraints", "public.customer.named", "added",
    ),
    (
        "ALTER TABLE customer ADD CONSTRAINT named CHECK (name <> '') NOT VALID",
        "ALTER TABLE customer VALIDATE CONSTRAINT named", "constraints", "public.customer.named",
        "changed",
    ),
    (NAMED, "ALTER TABLE sample DROP CONSTRAINT first", "constraints", "public.sample.first",
     "removed"),
    (
        f"{INDEXED}; CREATE TABLE child (id integer CONSTRAINT up REFERENCES sample (id))",
        "ALTER TABLE child ALTER CONSTRAINT up DEFERRABLE", "constraints", "public.child.up",
        "changed",
    ),
    (
        f"{INDEXED}; CREATE TABLE child (id integer CONSTRAINT up REFERENCES sample (id))",
        "ALTER TABLE child DISABLE TRIGGER ALL", "constraints", "public.child.up", "changed",
    ),
    (
        f"{SAMPLE}; CREATE TABLE whole (id integer PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE part PARTITION OF whole DEFAULT",
        "ALTER TABLE sample ADD CONSTRAINT far FOREIGN KEY (id) REFERENCES whole (id)",
        "constraints", "public.sample.far", "added",
    ),
    ("", "CREATE INDEX customer_note ON customer (phone)", "indexes", "public.customer_note",
     "added"),
    (
        INDEXED, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'sample_id'::regclass",
        "indexes", "public.sample_id", "changed",
    ),
    (
        INDEXED, "UPDATE pg_index SET indisready = false WHERE indexrelid = 'sample_id'::regclass",
        "indexes", "public.sample_id", "changed",
    ),
    (INDEXED, "ALTER TABLE sample REPLICA IDENTITY USING INDEX sample_id", "indexes",
     "public.sample_id", "changed"),
    (INDEXED, "ALTER TABLE sample CLUSTER ON sample_id", "indexes", "public.sample_id", "changed"),
    (INDEXED, "ALTER INDEX sample_id SET (fillfactor = 50)", "indexes", "public.sample_id",
     "changed"),
    (
        "", "ALTER POLICY customer_of_own_organization ON customer USING (true)",
        "policies", "public.customer.customer_of_own_organization", "changed",
    ),
    (
        "", "ALTER POLICY customer_of_own_organization ON customer TO catalog_reader",
        "policies", "public.customer.customer_of_own_organization", "changed",
    ),
    (
        "", "DROP POLICY customer_of_own_organization ON customer",
        "policies", "public.customer.customer_of_own_organization", "removed",
    ),
    (
        SAMPLE, "CREATE POLICY nobody ON sample AS RESTRICTIVE FOR DELETE USING (false)",
        "policies", "public.sample.nobody", "added",
    ),
    ("", "GRANT CREATE ON SCHEMA auth TO catalog_reader", "privileges", "schema auth", "changed"),
    (SAMPLE, "GRANT SELECT ON sample TO catalog_reader", "privileges", "table public.sample",
     "added"),
    (
        f"{SAMPLE}; GRANT SELECT ON sample TO catalog_reader",
        "GRANT SELECT ON sample TO catalog_reader WITH GRANT OPTION",
        "privileges", "table public.sample", "changed",
    ),
    (SAMPLE, "REVOKE ALL ON sample FROM CURRENT_USER", "privileges", "table public.sample",
     "added"),
    (SAMPLE, "GRANT UPDATE (note) ON sample TO catalog_reader", "privileges",
     "column public.sample.note", "added"),
    (FUNCTION, "REVOKE ALL ON FUNCTION answer FROM PUBLIC", "privileges",
     "function public.answer(integer)", "added"),
    ("", "REVOKE USAGE ON TYPE audit_action FROM PUBLIC", "privileges", "type public.audit_action",
     "added"),
    ("CREATE SEQUENCE s", "GRANT USAGE ON SEQUENCE s TO PUBLIC", "privileges", "sequence public.s",
     "added"),
    (
        "", "ALTER DEFAULT PRIVILEGES FOR ROLE catalog_reader IN SCHEMA auth"
        " GRANT SELECT ON TABLES TO catalog_writer",
        "privileges", "default for tables of catalog_reader in auth", "added",
    ),
    (
        f"{SAMPLE}; {TRIGGER}",
        "CREATE TRIGGER still AFTER INSERT ON sample FOR EACH ROW EXECUTE FUNCTION nothing()",
        "triggers", "public.sample.still", "added",
    ),
    (
        f"{SAMPLE}; {TRIGGER};"
        " CREATE TRIGGER still AFTER INSERT ON sample FOR EACH ROW EXECUTE FUNCTION nothing()",
        "ALTER TABLE sample DISABLE TRIGGER still", "triggers", "public.sample.still", "changed",
    ),
    (
        NOTICE, "CREATE EVENT TRIGGER heard ON ddl_command_end EXECUTE FUNCTION notice()",
        "event_triggers", "heard", "added",
    ),
    ("", FUNCTION, "functions", "public.answer(integer)", "added"),
    (FUNCTION, OTHER_FUNCTION, "functions", "public.answer(integer)", "changed"),
    (FUNCTION, "ALTER FUNCTION answer SECURITY DEFINER", "functions", "public.answer(integer)",
     "changed"),
    (FUNCTION, "ALTER FUNCTION answer SET search_path = ''", "functions", "public.answer(integer)",
     "changed"),
    (FUNCTION, "ALTER FUNCTION answer OWNER TO catalog_reader", "functions",
     "public.answer(integer)", "changed"),
    ("", "CREATE AGGREGATE plus (integer) (SFUNC = int4pl, STYPE = int)", "functions",
     "public.plus(integer)", "added"),
    ("", "CREATE VIEW loud AS SELECT upper(name) FROM customer", "views", "public.loud", "added"),
    ("", "ALTER VIEW v_user_profile SET (security_barrier)", "views", "public.v_user_profile",
     "changed"),
    ("CREATE VIEW loud AS SELECT 1 AS one", "DROP VIEW loud", "views", "public.loud", "removed"),
    ("", "CREATE MATERIALIZED VIEW slow AS SELECT 1 AS one", "views", "public.slow", "added"),
    (
        "CREATE MATERIALIZED VIEW slow AS SELECT 1 AS one WITH NO DATA",
        "REFRESH MATERIALIZED VIEW slow",
        "views", "public.slow", "changed",
    ),
    ("", "CREATE SEQUENCE turns", "sequences", "public.turns", "added"),
    ("CREATE SEQUENCE turns", "ALTER SEQUENCE turns INCREMENT 5", "sequences", "public.turns",
     "changed"),
    (f"CREATE SEQUENCE s; {SAMPLE}", "ALTER SEQUENCE s OWNED BY sample.id", "sequences", "public.s",
     "changed"),
    (SAMPLE, "CREATE RULE never AS ON DELETE TO sample DO INSTEAD NOTHING", "rules",
     "public.sample.never", "added"),
    (SAMPLE, "CREATE STATISTICS pair ON id, size FROM sample", "statistics", "public.pair",
     "added"),
    (SAMPLE, "COMMENT ON TABLE sample IS 'a'", "comments", "table public.sample", "added"),
    (SAMPLE, "COMMENT ON COLUMN sample.note IS 'a'", "comments", "table column public.sample.note",
     "added"),
    (INDEXED, "COMMENT ON INDEX sample_id IS 'a'", "comments", "index public.sample_id", "added"),
    (
        NAMED, "COMMENT ON CONSTRAINT first ON sample IS 'a'",
        "comments", "table constraint first on public.sample", "added",
    ),
    (FUNCTION, "COMMENT ON FUNCTION answer IS 'a'", "comments", "function public.answer(integer)",
     "added"),
]  # fmt: skip

#: changes that are none: of the data, of the statistics, of the session, or undone
NO_CHANGES = [
    ("", f"{SAMPLE}; DROP TABLE sample"),
    ("", "CREATE TYPE mood AS ENUM ('good'); DROP TYPE mood"),
    (
        "",
        (
            "ALTER TABLE customer ADD CONSTRAINT c CHECK (true); ALTER TABLE customer DROP"
            " CONSTRAINT c"
        ),
    ),
    ("", "ALTER TABLE customer ADD COLUMN last integer; ALTER TABLE customer DROP COLUMN last"),
    ("", "DELETE FROM widget; ANALYZE customer"),
    ("CREATE SEQUENCE turns", "SELECT nextval('turns')"),
    (
        SAMPLE,
        "GRANT SELECT ON sample TO catalog_reader; REVOKE SELECT ON sample FROM catalog_reader",
    ),
    (FUNCTION, "GRANT EXECUTE ON FUNCTION answer TO PUBLIC"),
    ("", "CREATE TEMPORARY TABLE passing (id integer PRIMARY KEY)"),
    (
        "",
        (
            "CREATE SCHEMA mantis_runbook; CREATE TABLE mantis_runbook.journal (id integer PRIMARY"
            " KEY)"
        ),
    ),
    ("", "SET LOCAL search_path = auth, public; SET LOCAL quote_all_identifiers = on"),
]


@pytest.fixture(scope="module")
def standing(server: Server, baseline_template: str) -> Iterator[Connection]:
    """A baseline for tests that take back what they do."""
    with (
        fresh_database(server, baseline_template) as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        connection.execute(ROLES)
        yield connection


@contextmanager
def taken_back(connection: Connection) -> Iterator[None]:
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = public")
        yield


def named(changes: tuple[Change, ...]) -> list[tuple[str, str, str]]:
    return [(change.kind, change.name, change.verb) for change in changes]


@pytest.mark.parametrize(
    ("before", "statement", "kind", "name", "verb"), CHANGES, ids=[row[1][:60] for row in CHANGES]
)
def test_one_change_is_one_difference(
    standing: Connection, before: str, statement: str, kind: str, name: str, verb: str
) -> None:
    with taken_back(standing):
        if before:
            standing.execute(before)
        earlier = snapshot(standing)
        standing.execute(statement)
        difference = diff(earlier, snapshot(standing))
    assert named(difference.changes) == [(kind, name, verb)], str(difference)
    assert not difference.column_order
    assert not difference.is_empty


def test_every_class_has_a_change_on_purpose() -> None:
    """The others' are in test_catalog_holds_what_dumps_hold.py."""
    assert {row[2] for row in CHANGES} | {"column_order"} == set(FIRST_CLASSES)


@pytest.mark.parametrize(
    ("before", "statement"), NO_CHANGES, ids=[row[1][:60] for row in NO_CHANGES]
)
def test_what_is_undone_or_no_definition_makes_no_difference(
    standing: Connection, before: str, statement: str
) -> None:
    with taken_back(standing):
        if before:
            standing.execute(before)
        earlier = snapshot(standing)
        standing.execute(statement)
        later = snapshot(standing)
    assert diff(earlier, later).exactly_equal, str(diff(earlier, later))
    assert earlier == later
    assert earlier.sha256 == later.sha256


def test_a_column_added_again_differs_in_its_place_only(standing: Connection) -> None:
    with taken_back(standing):
        standing.execute(SAMPLE)
        earlier = snapshot(standing)
        standing.execute(
            "ALTER TABLE sample DROP COLUMN note; ALTER TABLE sample ADD COLUMN note text"
        )
        difference = diff(earlier, snapshot(standing))
    assert difference.is_empty
    assert not difference.exactly_equal
    assert named(difference.column_order) == [("column_order", "public.sample", "changed")]
    assert (difference.column_order[0].before, difference.column_order[0].after) == (
        "id, note, size",
        "id, size, note",
    )
    assert str(difference).startswith(
        "the catalogues are equal; column order differs in public.sample"
    )


def test_columns_whose_names_hold_commas_and_quotes_have_an_order_too() -> None:
    earlier = Catalog({"column_order": {"t": '"a, b", "c""d", e'}})
    assert diff(earlier, Catalog({"column_order": {"t": '"c""d", "a, b", e'}})).column_order
    assert diff(earlier, Catalog({"column_order": {"t": '"a, b", x, "c""d", e'}})).exactly_equal


def test_not_null_that_is_not_validated_is_told_on_18(standing: Connection) -> None:
    if standing.info.server_version < 180000:
        pytest.skip("NOT NULL can be NOT VALID from PostgreSQL 18 on")
    with taken_back(standing):
        standing.execute(SAMPLE)
        standing.execute("ALTER TABLE sample ADD CONSTRAINT noted NOT NULL note NOT VALID")
        earlier = snapshot(standing)
        standing.execute("ALTER TABLE sample VALIDATE CONSTRAINT noted")
        difference = diff(earlier, snapshot(standing))
    assert named(difference.changes) == [("columns", "public.sample.note", "changed")]
    assert difference.changes[0].before == "text NOT NULL NOT VALID"


def test_a_failed_concurrent_build_shows_as_invalid(baseline: Connection) -> None:
    baseline.execute("CREATE TABLE twin AS SELECT 1 AS name FROM generate_series(1, 2)")
    earlier = snapshot(baseline)
    with pytest.raises(psycopg.errors.UniqueViolation):
        baseline.execute("CREATE UNIQUE INDEX CONCURRENTLY twin_name ON twin (name)")
    difference = diff(earlier, snapshot(baseline))
    assert named(difference.changes) == [("indexes", "public.twin_name", "added")]
    assert "INVALID" in str(difference)


def test_ignored_tables_are_left_out_with_all_that_belongs_to_them(standing: Connection) -> None:
    with taken_back(standing):
        earlier = snapshot(standing)
        standing.execute(
            "CREATE TABLE schema_migrations (id serial PRIMARY KEY, version text UNIQUE);"
            "COMMENT ON COLUMN schema_migrations.version IS 'number';"
            "GRANT SELECT ON schema_migrations TO catalog_reader"
        )
        assert diff(earlier, snapshot(standing, ignore=["public.schema_migrations"])).exactly_equal
        assert not diff(earlier, snapshot(standing)).is_empty


def test_schemas_can_be_chosen(standing: Connection) -> None:
    only = snapshot(standing, ["auth"])
    assert set(only["schemas"]) == {"auth"}
    assert set(only["tables"]) == {
        name for name in snapshot(standing)["tables"] if name.startswith("auth.")
    }


def test_the_session_keeps_its_settings(standing: Connection) -> None:
    with standing.transaction(force_rollback=True):
        standing.execute("SET LOCAL search_path = auth; SET LOCAL quote_all_identifiers = on")
        snapshot(standing)
        path = standing.execute("SHOW search_path").fetchone()
        quoting = standing.execute("SHOW quote_all_identifiers").fetchone()
    assert (path, quoting) == (("auth",), ("on",))


def test_a_restored_dump_reads_like_its_database(
    server: Server, server_programs: Path, baseline_template: str, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    with (
        fresh_database(server, baseline_template) as parameters,
        fresh_database(server, "template0") as copy,
    ):
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute(ROLES)
            connection.execute(AWKWARD.read_text())
            original = snapshot(connection)
        run(
            server_programs / "pg_dump",
            "--format=custom",
            f"--file={dump}",
            f"--dbname={make_conninfo(**parameters)}",
        )
        run(server_programs / "pg_restore", f"--dbname={make_conninfo(**copy)}", str(dump))
        with psycopg.connect(**copy, autocommit=True) as connection:
            restored = snapshot(connection)
    assert diff(original, restored).exactly_equal, str(diff(original, restored))
    assert all(original[kind] for kind in FIRST_CLASSES), (
        "the awkward objects have one of each class"
    )


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.mark.parametrize("text", [
    "x = ANY ((ARRAY['a'::character varying, 'b''c'::character varying])::text[])",
    "x = ANY (ARRAY[('a'::character varying)::text, ('b''c'::character varying)::text])",
])  # fmt: skip
def test_the_two_writings_of_a_list_of_varchars_are_one(text: str) -> None:
    assert (
        catalog._settled(text)
        == "x = ANY (ARRAY[('a'::character varying)::text, ('b''c'::character varying)::text])"
    )


def test_a_snapshot_is_taken_in_less_than_half_a_second(standing: Connection) -> None:
    snapshot(standing)
    began = time.monotonic()
    snapshot(standing)
    assert time.monotonic() - began < 0.5


def test_a_catalogue_survives_json_and_pickle(standing: Connection) -> None:
    whole = snapshot(standing)
    assert Catalog.from_json(whole.to_json()) == whole
    assert pickle.loads(pickle.dumps(whole)) == whole
    assert Catalog.from_json(whole.to_json()).sha256 == whole.sha256
    assert len(whole) == sum(whole.frame.set_index("class").objects.drop("column_order"))


@pytest.mark.parametrize("text", ["[]", "{}", '{"tables": {}}'])
def test_json_that_is_no_catalogue_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="catalogue in JSON"):
        Catalog.from_json(text)


def test_a_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        Catalog({"tables": {"t": "table"}})["tables"]["t"] = "view"  # type: ignore[index]


DIFFERENCE = diff(
    Catalog({"columns": {"t.a": "integer", "t.b": "text <x>"}, "column_order": {"t": "a, b"}}),
    Catalog({"columns": {"t.a": "bigint", "t.c": "text"}, "column_order": {"t": "b, a"}}),
)


def test_a_difference_tells_itself_in_a_terminal() -> None:
    assert str(DIFFERENCE) == "\n".join([
        "1 added, 1 removed, 1 changed; column order differs in t",
        "~ columns t.a",
        "    before: integer",
        "    after:  bigint",
        "- columns t.b: text <x>",
        "+ columns t.c: text",
        "~ column_order t",
        "    before: a, b",
        "    after:  b, a",
    ])  # fmt: skip


def test_a_difference_is_a_frame_and_escaped_html() -> None:
    assert DIFFERENCE.frame[["class", "name", "change"]].values.tolist() == [
        ["columns", "t.a", "changed"],
        ["columns", "t.b", "removed"],
        ["columns", "t.c", "added"],
        ["column_order", "t", "changed"],
    ]
    assert "text &lt;x&gt;" in DIFFERENCE._repr_html_()
    assert "<x>" not in DIFFERENCE._repr_html_()
    assert "the catalogues are equal" in Difference()._repr_html_()
