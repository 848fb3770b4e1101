"""Default privileges: what we make is open to whom its file means, and what we keep to nobody but
its owner.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from stages import climbed
from workbench import Bench, limits

from mantis_runbook import sandbox, settings
from mantis_runbook.checks import named_checks
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres.connection import Connection, connect, rows
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

#: Everything, by default, to the application's users, and something to a role that no file of ours
#: knows.
DEFAULTS = """
    DO $$ BEGIN
        CREATE ROLE reporting;
    EXCEPTION WHEN duplicate_object THEN NULL;
    END $$;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public
        GRANT ALL ON TABLES TO anon, authenticated, service_role, reporting;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public
        GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public
        GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role, reporting;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO reporting;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO reporting;
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO anon, authenticated;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO anon;
"""

#: Who may do what with which object of the application, the usual rights of PUBLIC written out.
RIGHTS = """
    SELECT object,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END AS role,
        privilege_type, is_grantable
    FROM (
        SELECT oid::regclass::text AS object, tableoid, oid,
            coalesce(relacl, acldefault('r', relowner)) AS acl
        FROM pg_class
        WHERE relnamespace IN (to_regnamespace('public'), to_regnamespace('mantis_runbook'))
            AND relkind IN ('r', 'p', 'v', 'm', 'S')
        UNION ALL
        SELECT oid::regprocedure::text, tableoid, oid, coalesce(proacl, acldefault('f', proowner))
        FROM pg_proc
        WHERE pronamespace IN (to_regnamespace('public'), to_regnamespace('mantis_runbook'))
        UNION ALL
        SELECT oid::regtype::text, tableoid, oid, coalesce(typacl, acldefault('T', typowner))
        FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typelem = 0
        UNION ALL
        SELECT nspname::text, tableoid, oid, coalesce(nspacl, acldefault('n', nspowner))
        FROM pg_namespace WHERE nspname = 'mantis_runbook'
    ) AS held, aclexplode(acl)
    WHERE grantee <> (SELECT datdba FROM pg_database WHERE datname = current_database())
      AND NOT EXISTS (
          SELECT FROM pg_depend
          WHERE classid = held.tableoid AND objid = held.oid AND deptype = 'e'
      )
"""
USERS = ("anon", "authenticated", "service_role")


def rights(connection: Connection) -> set[tuple[Any, ...]]:
    return {tuple(row.values()) for row in rows(connection, RIGHTS)}


def make_roles(connection: Connection) -> None:
    for role in USERS:
        text = "DO $$ BEGIN CREATE ROLE {}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        connection.execute(sql.SQL(text).format(sql.Identifier(role)))


def refused(connection: Connection, role: str, statement: str) -> bool:
    """Whether a user of the application is denied it."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def test_under_default_privileges_every_new_object_has_the_rights_it_has_without_them(
    server: Server,
) -> None:
    usual = climbed(server)
    target = Target("defaults", "variable", sandbox.clone(server, "template0", "rights"))
    try:
        sandbox.load_baseline(target.parameters, scale=0.02, seed=2026)
        with connect(target, "test") as connection:
            connection.execute(DEFAULTS)
            ledger.install(connection)
            with hold(target, "test", "test") as fence:
                engine = Engine(
                    target,
                    limits(step_deadline_s=60, statement_timeout_s=120),
                    "test",
                    "test",
                    fence,
                )
                for migration in migration_files.load():
                    engine.up(migration)
            with usual.connect() as other:
                assert rights(connection) - rights(other) == set()
                assert rights(other) - rights(connection) == set()
            connection.execute(
                "SELECT create_partitions_ahead('communication_log', until => now() + interval '3"
                " years')"
            )
            assert not {right for right in rights(connection) if right[1] == "reporting"}
    finally:
        sandbox.drop(server, "rights")


def test_what_the_runbook_keeps_is_closed_to_the_applications_users(
    empty_database: Target, tmp_path: Path
) -> None:
    bench = Bench(empty_database, tmp_path)
    with bench.connect() as connection:
        make_roles(connection)
        connection.execute(DEFAULTS)
        ledger.install(connection)
        for path in sorted((settings.sql() / "monitoring").glob("0*.sql")):
            connection.execute(path.read_text())
        ledger.close(connection)
        for role in USERS:
            for statement in (
                "TRUNCATE mantis_runbook.migration_backups",
                "UPDATE mantis_runbook.schema_migrations SET status = 'completed'",
                "SELECT FROM mantis_runbook.journal",
                "SELECT mantis_runbook.validate_schema_integrity()",
            ):
                assert refused(connection, role, statement), (role, statement)
        assert named_checks.run(connection, 1, ["ledger_open"]).verdict == "pass"


def test_an_older_ledger_in_public_is_closed_and_makes_room_for_the_applications_own(
    bench: Bench,
) -> None:
    with bench.connect() as connection:
        make_roles(connection)
        for table in ("schema_migrations", "migration_backups"):
            connection.execute(f"ALTER TABLE mantis_runbook.{table} SET SCHEMA public")
            connection.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
            connection.execute(f"GRANT ALL ON {table} TO anon")
        connection.execute(
            "INSERT INTO schema_migrations (version, description, status) VALUES ('000', 'x',"
            " 'completed')"
        )
        assert not refused(connection, "anon", "TRUNCATE public.migration_backups")
        assert named_checks.run(connection, 1, ["ledger_open"]).verdict == "warn"
        assert Ledger(connection).completed() == ("000",)

        # The next migration closes it where it is; phase 0 moves it.
    bench.up(bench.migration("-- step: table\nCREATE TABLE fresh (id integer);"))
    with bench.connect() as connection:
        assert refused(connection, "anon", "TRUNCATE public.migration_backups")
        assert named_checks.run(connection, 1, ["ledger_open"]).verdict == "pass"
        ledger.install(connection)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS public.schema_migrations (migration_name text PRIMARY KEY)"
        )
        connection.execute("INSERT INTO public.schema_migrations VALUES ('0001_theirs')")
        assert Ledger(connection).completed() == ("000", "001")


@pytest.mark.parametrize(
    "made", ["TABLE fresh (id integer GENERATED ALWAYS AS IDENTITY)", "TYPE fresh AS ENUM ('a')"]
)
def test_a_grant_of_the_files_own_stays(bench: Bench, made: str) -> None:
    kind = made.split()[0]
    with bench.connect() as connection:
        make_roles(connection)
        connection.execute(DEFAULTS)
    bench.up(bench.migration(f"-- step: it\nCREATE {made};\nGRANT ALL ON {kind} fresh TO anon;"))
    with bench.connect() as connection:
        found = {right[1] for right in rights(connection) if right[0] in ("fresh", "fresh_id_seq")}
    assert found - {"PUBLIC"} == {"anon"}
