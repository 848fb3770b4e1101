"""Whenever `pg_dump` shows a change of a definition, the catalogue shows one: the dump is the
oracle.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from conftest import fresh_database
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mantis_runbook.postgres.catalog import (
    CLASSES,
    FIRST_CLASSES,
    Catalog,
    diff,
    left_behind,
    snapshot,
)
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

EVERYTHING = (Path(__file__).parent.parent / "data" / "everything.sql").read_text()

ROLES = """
DO $$ BEGIN
    CREATE ROLE everything_one SUPERUSER;
    CREATE ROLE everything_two SUPERUSER;
EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""
TABLESPACE = "CREATE TABLESPACE everything_elsewhere LOCATION ''"

#: Each is one change, made after those before it.
ALTERATIONS = """
ALTER SCHEMA e OWNER TO everything_two
COMMENT ON SCHEMA e IS 'a'
ALTER TYPE mood ADD VALUE 'fair'
ALTER TYPE mood OWNER TO everything_two
ALTER TYPE pair ADD ATTRIBUTE c integer CASCADE
ALTER TYPE pair RENAME ATTRIBUTE c TO cc CASCADE
COMMENT ON COLUMN pair.a IS 'a'
COMMENT ON TYPE span IS 'a'
ALTER TYPE span OWNER TO everything_two
CREATE TYPE other_span AS RANGE (subtype = text, subtype_opclass = text_pattern_ops)
ALTER DOMAIN word DROP CONSTRAINT short
ALTER DOMAIN word ADD CONSTRAINT long CHECK (length(VALUE) < 99) NOT VALID
ALTER DOMAIN word VALIDATE CONSTRAINT long
COMMENT ON CONSTRAINT long ON DOMAIN word IS 'a'
ALTER DOMAIN word SET DEFAULT 'a'
ALTER DOMAIN word SET NOT NULL
GRANT USAGE ON TYPE word TO everything_two WITH GRANT OPTION
REVOKE USAGE ON TYPE word FROM PUBLIC
ALTER FUNCTION f(integer) COST 7
ALTER FUNCTION f(integer) PARALLEL SAFE
ALTER FUNCTION f(integer) SET work_mem = '1MB'
ALTER FUNCTION f(integer) LEAKPROOF
ALTER FUNCTION f(integer) OWNER TO everything_two
ALTER FUNCTION f(integer) DEPENDS ON EXTENSION hstore
ALTER FUNCTION rests(hstore) NO DEPENDS ON EXTENSION hstore
ALTER INDEX t_expression DEPENDS ON EXTENSION hstore
ALTER PROCEDURE p() SECURITY DEFINER
COMMENT ON PROCEDURE p() IS 'a'
REVOKE ALL ON PROCEDURE p() FROM PUBLIC
COMMENT ON AGGREGATE total(integer) IS 'a'
ALTER AGGREGATE total(integer) OWNER TO everything_two
CREATE OR REPLACE AGGREGATE moving(integer) (SFUNC = int4pl, STYPE = integer, SSPACE = 8, MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer)
CREATE OR REPLACE AGGREGATE moving(integer) (SFUNC = int4pl, STYPE = integer, MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = integer, MINITCOND = '1')
ALTER TABLE t ALTER b SET STATISTICS 7
ALTER TABLE t ALTER b SET (n_distinct = 7)
ALTER TABLE t ALTER b SET STORAGE MAIN
ALTER TABLE t ALTER b SET COMPRESSION pglz
ALTER TABLE t ALTER c SET DEFAULT 'y'
ALTER TABLE t ALTER c TYPE varchar(10)
ALTER TABLE t ALTER d SET GENERATED ALWAYS
ALTER TABLE t ALTER d SET INCREMENT 2
ALTER TABLE t ALTER d DROP IDENTITY
ALTER TABLE t RENAME CONSTRAINT positive TO above_zero
ALTER TABLE t ADD CONSTRAINT second CHECK (a > 1) NO INHERIT NOT VALID
ALTER TABLE t DISABLE TRIGGER fires
ALTER TABLE t ENABLE REPLICA TRIGGER fires
ALTER TABLE t REPLICA IDENTITY USING INDEX t_a
ALTER TABLE t REPLICA IDENTITY FULL
ALTER TABLE t CLUSTER ON t_a
ALTER TABLE t SET WITHOUT CLUSTER
ALTER TABLE t SET (fillfactor = 50)
ALTER TABLE t SET (toast.autovacuum_enabled = false)
ALTER TABLE t ENABLE ROW LEVEL SECURITY
ALTER TABLE t FORCE ROW LEVEL SECURITY
ALTER TABLE t OWNER TO everything_two
GRANT SELECT (a) ON t TO everything_two
GRANT SELECT ON t TO everything_one
ALTER TABLE filed SET TABLESPACE everything_elsewhere
ALTER INDEX t_expression SET TABLESPACE everything_elsewhere
ALTER MATERIALIZED VIEW kept SET TABLESPACE everything_elsewhere
ALTER TABLE filed SET ACCESS METHOD second_heap
ALTER MATERIALIZED VIEW kept SET ACCESS METHOD second_heap
ALTER MATERIALIZED VIEW kept ALTER b SET STATISTICS 7
ALTER MATERIALIZED VIEW kept ALTER b SET STORAGE EXTERNAL
ALTER MATERIALIZED VIEW kept SET (fillfactor = 50)
COMMENT ON COLUMN kept.b IS 'a'
ALTER INDEX t_expression ALTER COLUMN 1 SET STATISTICS 7
ALTER INDEX t_expression SET (fillfactor = 50)
COMMENT ON INDEX t_expression IS 'a'
ALTER INDEX t_a RENAME TO t_of_a
ALTER TABLE typed NOT OF
ALTER TABLE child NO INHERIT t
ALTER TABLE referring ALTER CONSTRAINT referring_id_fkey DEFERRABLE INITIALLY DEFERRED
COMMENT ON CONSTRAINT referring_id_fkey ON referring IS 'a'
ALTER TABLE part DISABLE TRIGGER parted_fires
ALTER TABLE part ALTER v SET DEFAULT 'a'
ALTER TABLE parted DETACH PARTITION part
ALTER TABLE light SET LOGGED
ALTER SEQUENCE light_id_seq OWNED BY NONE
ALTER SEQUENCE s CACHE 7 CYCLE
ALTER SEQUENCE s AS integer
COMMENT ON SEQUENCE s IS 'a'
ALTER VIEW seen SET (security_barrier)
ALTER VIEW seen ALTER a SET DEFAULT 1
ALTER VIEW seen OWNER TO everything_two
CREATE OR REPLACE VIEW seen WITH (check_option = local) AS SELECT id, a FROM t WHERE a > 0
COMMENT ON TRIGGER fires ON t IS 'a'
ALTER EVENT TRIGGER hears DISABLE
COMMENT ON EVENT TRIGGER hears IS 'a'
ALTER EVENT TRIGGER hears OWNER TO everything_two
ALTER TABLE filed DISABLE RULE silent
COMMENT ON RULE silent ON filed IS 'a'
ALTER POLICY own ON t TO everything_one
COMMENT ON POLICY own ON t IS 'a'
ALTER STATISTICS st SET STATISTICS 7
ALTER STATISTICS st OWNER TO everything_two
COMMENT ON STATISTICS st IS 'a'
ALTER COLLATION ordered OWNER TO everything_two
COMMENT ON COLLATION ordered IS 'a'
ALTER COLLATION ordered RENAME TO sorted
ALTER CONVERSION converts OWNER TO everything_two
COMMENT ON CONVERSION converts IS 'a'
ALTER OPERATOR @@@ (integer, integer) SET (RESTRICT = eqsel)
ALTER OPERATOR @@@ (integer, integer) OWNER TO everything_two
COMMENT ON OPERATOR @@@ (integer, integer) IS 'a'
ALTER OPERATOR FAMILY family USING btree ADD OPERATOR 1 < (integer, integer)
ALTER OPERATOR FAMILY family USING btree ADD FUNCTION 1 btint4cmp(integer, integer)
COMMENT ON OPERATOR FAMILY family USING btree IS 'a'
ALTER OPERATOR CLASS class USING hash OWNER TO everything_two
COMMENT ON OPERATOR CLASS class USING hash IS 'a'
COMMENT ON CAST (integer AS pair) IS 'a'
DROP CAST (integer AS pair)
CREATE CAST (integer AS pair) WITH FUNCTION to_pair(integer) AS ASSIGNMENT
ALTER TEXT SEARCH DICTIONARY dictionary (Accept = true)
COMMENT ON TEXT SEARCH DICTIONARY dictionary IS 'a'
ALTER TEXT SEARCH CONFIGURATION configuration ALTER MAPPING FOR word WITH dictionary, simple
COMMENT ON TEXT SEARCH CONFIGURATION configuration IS 'a'
ALTER TEXT SEARCH PARSER parser RENAME TO reader
COMMENT ON TEXT SEARCH TEMPLATE template IS 'a'
GRANT USAGE ON LANGUAGE tongue TO everything_one
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC
ALTER LANGUAGE tongue OWNER TO everything_two
COMMENT ON LANGUAGE tongue IS 'a'
COMMENT ON TRANSFORM FOR hstore LANGUAGE tongue IS 'a'
DROP TRANSFORM FOR hstore LANGUAGE tongue
COMMENT ON ACCESS METHOD second_heap IS 'a'
ALTER FOREIGN DATA WRAPPER wrapper OPTIONS (ADD x 'y')
GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO everything_one
COMMENT ON FOREIGN DATA WRAPPER wrapper IS 'a'
ALTER SERVER server VERSION '2'
ALTER SERVER server OPTIONS (SET host 'two')
GRANT USAGE ON FOREIGN SERVER server TO everything_one
COMMENT ON SERVER server IS 'a'
ALTER USER MAPPING FOR everything_one SERVER server OPTIONS (SET user 'two')
CREATE USER MAPPING FOR PUBLIC SERVER server
ALTER FOREIGN TABLE far OPTIONS (SET name 'z')
ALTER FOREIGN TABLE far ALTER id OPTIONS (SET name 'z')
COMMENT ON EXTENSION hstore IS 'a'
ALTER EXTENSION hstore SET SCHEMA public
GRANT SELECT ON pg_stat_statements_info TO everything_two
REVOKE EXECUTE ON FUNCTION public.hstore(text, text) FROM PUBLIC
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_logdir() TO everything_one
ALTER PUBLICATION published SET TABLE t (id), filed WHERE (id > 1)
ALTER PUBLICATION published SET (publish_via_partition_root = true)
ALTER PUBLICATION published SET (publish = 'insert, update')
ALTER PUBLICATION published OWNER TO everything_two
COMMENT ON PUBLICATION published IS 'b'
ALTER PUBLICATION published_schema ADD TABLES IN SCHEMA public
DROP PUBLICATION published_all
ALTER SUBSCRIPTION subscribed SET PUBLICATION other WITH (refresh = false)
COMMENT ON SUBSCRIPTION subscribed IS 'a'
ALTER SUBSCRIPTION subscribed SET (slot_name = NONE)
ALTER LARGE OBJECT 4711 OWNER TO everything_two
GRANT SELECT ON LARGE OBJECT 4711 TO everything_one
COMMENT ON LARGE OBJECT 4711 IS 'b'
ALTER DEFAULT PRIVILEGES IN SCHEMA e GRANT SELECT ON TABLES TO everything_one
ALTER DEFAULT PRIVILEGES FOR ROLE everything_two REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC
ALTER TYPE base SET (STORAGE = external)
DROP ACCESS METHOD second_heap CASCADE
"""

#: What only newer versions have.
NEWER = {
    18: (
        """
        ALTER TABLE t RENAME CONSTRAINT t_a_not_null TO a_is_there
        COMMENT ON CONSTRAINT a_is_there ON t IS 'a'
        ALTER TABLE referring ALTER CONSTRAINT referring_id_fkey NOT ENFORCED
        ALTER TABLE t ADD v integer GENERATED ALWAYS AS (a + 1) VIRTUAL
        ALTER PUBLICATION published SET (publish_generated_columns = stored)
        ALTER TABLE t ADD CONSTRAINT b_is_there NOT NULL b NOT VALID
    """
    )
}


def alterations(major: int) -> list[str]:
    return [
        line.strip()
        for since, text in {0: ALTERATIONS, **NEWER}.items()
        if major >= since
        for line in text.splitlines()
        if line.strip()
    ]


@pytest.fixture
def everything(server: Server) -> Iterator[Connection]:
    with (
        fresh_database(server, "template0") as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        connection.execute("SET client_min_messages = error; SET allow_in_place_tablespaces = on")
        connection.execute(ROLES)
        if not connection.execute(
            "SELECT 1 FROM pg_tablespace WHERE spcname = 'everything_elsewhere'"
        ).fetchone():
            connection.execute(TABLESPACE)
        connection.execute(EVERYTHING)
        yield connection
        connection.execute(
            "ALTER SUBSCRIPTION subscribed SET (slot_name = NONE); DROP SUBSCRIPTION subscribed"
        )


def place(connection: Connection) -> str:
    info = connection.info
    return make_conninfo(host=info.host, port=info.port, user=info.user, dbname=info.dbname)


def dumped(programs: Path, connection: Connection) -> str:
    dump = subprocess.run(
        [programs / "pg_dump", "--dbname", place(connection)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return "\n".join(
        line for line in dump.splitlines() if not line.startswith((r"\restrict", r"\unrestrict"))
    )


def test_whenever_a_dump_differs_the_catalogue_does(
    everything: Connection, server_programs: Path
) -> None:
    text, then = dumped(server_programs, everything), snapshot(everything)
    seen, blind, useless = set[str](), list[str](), list[str]()
    for alteration in alterations(everything.info.server_version // 10_000):
        everything.execute(alteration.encode())
        new_text, now = dumped(server_programs, everything), snapshot(everything)
        difference = diff(then, now)
        seen |= {change.kind for change in difference.changes}
        if new_text != text and difference.is_empty:
            blind.append(alteration)
        if new_text == text:
            useless.append(alteration)
        text, then = new_text, now
    assert not blind, "the dump shows these and the catalogue does not"
    assert not useless, "these say nothing: the dump does not show them"
    never = {"column_order", "database", "security_labels"} | (
        set() if everything.info.server_version >= 180_000 else {"not_null_constraints"}
    )
    assert set(CLASSES) - seen == never, "every other class was seen to change"


def test_a_restored_dump_of_everything_reads_like_its_database(
    everything: Connection, server: Server, server_programs: Path, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    run(
        server_programs / "pg_dump",
        "--format=custom",
        f"--file={dump}",
        "--dbname",
        place(everything),
    )
    with fresh_database(server, "template0") as copy:
        run(
            server_programs / "pg_restore",
            "--exit-on-error",
            "--no-subscriptions",
            "--dbname",
            make_conninfo(**copy),
            dump,
        )
        with psycopg.connect(**copy, autocommit=True) as connection:
            restored = snapshot(connection)
    difference = diff(snapshot(everything), restored)
    assert [str(change) for change in difference.all if change.kind != "subscriptions"] == [
        "- other_comments subscription subscribed: its own"
    ]


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_settings_of_the_database_are_told_and_secrets_are_not(everything: Connection) -> None:
    before = snapshot(everything)
    name = sql.Identifier(everything.info.dbname)
    everything.execute(sql.SQL("ALTER DATABASE {} SET work_mem = '7MB'").format(name))
    everything.execute(
        sql.SQL("ALTER DATABASE {} SET app.jwt_secret = 'nobody reads this'").format(name)
    )
    everything.execute(
        sql.SQL("ALTER ROLE everything_one IN DATABASE {} SET work_mem = '8MB'").format(name)
    )
    now = snapshot(everything)
    assert now["database"]["setting work_mem"] == "7MB"
    assert now["database"]["setting work_mem of everything_one"] == "8MB"
    assert "setting app.jwt_secret" in now["database"]
    assert left_behind(before, now).is_empty, (
        "an administrator's settings are not what a rollback left"
    )
    for secret in ("nobody reads this", "hidden from us"):
        assert secret not in now.to_json()


def test_a_catalogue_of_an_earlier_version_is_compared_on_the_classes_that_it_has(
    everything: Connection,
) -> None:
    now = snapshot(everything)
    earlier = Catalog.from_json(json.dumps({kind: dict(now[kind]) for kind in FIRST_CLASSES}))
    assert earlier["publications"] == {}
    assert Catalog.from_json(earlier.to_json()) == earlier
    assert diff(earlier, now).exactly_equal
    everything.execute(
        "DROP PUBLICATION published, published_schema, published_all; ALTER TABLE filed DROP note"
    )
    assert [change.kind for change in diff(earlier, snapshot(everything)).changes] == ["columns"]
