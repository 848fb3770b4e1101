"""The migrating role that is no superuser: what the script gives it, and that each right it lacks
is named in phase 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from variants import make_role

from mantis_runbook import notebook, settings
from mantis_runbook.errors import Refused
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target

ROLE = "mantis_migrator"
SUPERUSER = "mantis"

#: What is taken away or done behind the role's back; words of the refusal, the statement that mends
#: it among them; how it is mended.
LACKS = {
    "acting": (
        f"REVOKE authenticated, service_role FROM {ROLE}",
        ("authenticated", "service_role", "GRANT authenticated"),
        f"GRANT authenticated, service_role TO {ROLE}",
    ),
    "settings": (
        f"REVOKE SET ON PARAMETER session_replication_role FROM {ROLE}",
        ("GRANT SET ON PARAMETER session_replication_role",),
        f"GRANT SET ON PARAMETER session_replication_role TO {ROLE}",
    ),
    "scratch": (
        f"ALTER ROLE {ROLE} NOCREATEDB",
        (f"ALTER ROLE {ROLE} CREATEDB",),
        f"ALTER ROLE {ROLE} CREATEDB",
    ),
    "half of the tables": (
        f"ALTER TABLE customer OWNER TO {SUPERUSER}; ALTER TABLE supplier OWNER TO {SUPERUSER}",
        ("customer: belongs to mantis", "supplier: belongs to mantis", "migration_role.sql"),
        f"ALTER TABLE customer OWNER TO {ROLE}; ALTER TABLE supplier OWNER TO {ROLE}",
    ),
    "the platform's objects": (
        "CREATE ROLE supabase_auth_admin; ALTER TABLE auth.users OWNER TO supabase_auth_admin",
        (f"GRANT supabase_auth_admin TO {ROLE}",),
        f"GRANT supabase_auth_admin TO {ROLE}",
    ),
    "somebody's schema": (
        f"CREATE SCHEMA theirs CREATE TABLE secret (id integer); REVOKE pg_read_all_data"
        f" FROM {ROLE}",
        ("schema theirs: no USAGE", "theirs.secret: no SELECT", "GRANT pg_read_all_data"),
        f"DROP SCHEMA theirs CASCADE; GRANT pg_read_all_data TO {ROLE}",
    ),
    "a function": (
        f"ALTER FUNCTION record_audit() OWNER TO {SUPERUSER}",
        ("record_audit(): this role may not EXECUTE it", "GRANT EXECUTE ON FUNCTION"),
        f"ALTER FUNCTION record_audit() OWNER TO {ROLE}",
    ),
    "forced row security": (
        "ALTER TABLE customer FORCE ROW LEVEL SECURITY",
        ("customer: policies apply to this role, by FORCE", "BYPASSRLS"),
        f"ALTER ROLE {ROLE} BYPASSRLS",
    ),
    "schema public": (
        f"REVOKE CREATE ON SCHEMA public FROM {ROLE}",
        ("schema public: this role may not CREATE in it", "GRANT CREATE ON SCHEMA public"),
        f"GRANT CREATE ON SCHEMA public TO {ROLE}",
    ),
    "the server's identity": (
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
        ("GRANT EXECUTE ON FUNCTION pg_control_system()",),
        "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC",
    ),
    "what only a superuser makes": (
        "CREATE EXTENSION pg_stat_statements; CREATE FUNCTION noted() RETURNS event_trigger"
        " LANGUAGE plpgsql AS 'BEGIN END';"
        " CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION noted()",
        ("extension pg_stat_statements", "event trigger noted", "--scratch"),
        "DROP EVENT TRIGGER noted; DROP FUNCTION noted(); DROP EXTENSION pg_stat_statements",
    ),
}


@pytest.fixture
def owned(
    server: Server, database: Target, monkeypatch: pytest.MonkeyPatch, reports: Path
) -> Iterator[Target]:
    """A baseline database that belongs to the migrating role, as superusers reach it; TEST_DSN
    reaches it as that role.
    """
    make_role(server, database.parameters["dbname"], ROLE)
    monkeypatch.setenv("TEST_DSN", make_conninfo(**database.parameters | {"user": ROLE}))
    monkeypatch.setenv("MANTIS_RUNBOOK_BACKUPS", str(reports / "backups"))
    yield database
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {ROLE} NOBYPASSRLS")


def precheck() -> Any:
    return notebook.open("0", {"target": "TEST_DSN", "environment": "development"}).precheck()


def test_the_script_gives_all_that_phase_0_asks_for_and_may_be_run_again(
    server: Server, owned: Target
) -> None:
    make_role(server, owned.parameters["dbname"], ROLE)
    assert precheck().verdict in ("passed", "warned")
    with psycopg.connect(**owned.parameters) as connection:
        role = connection.execute(
            "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = %s", [ROLE]
        ).fetchone()
    assert role == (False, False)


def test_each_right_that_the_role_lacks_is_named_in_phase_0_with_the_statement_that_gives_it(
    owned: Target,
) -> None:
    with psycopg.connect(**owned.parameters, autocommit=True) as connection:
        for lack, (taken, words, mended) in LACKS.items():
            connection.execute(taken.encode())
            with pytest.raises(Refused) as refused:
                precheck()
            missing = [word for word in words if word not in " ".join(str(refused.value).split())]
            assert missing == [], f"{lack}: {missing} in {refused.value}"
            connection.execute(mended.encode())
        assert connection.execute("SELECT to_regnamespace('mantis_runbook')").fetchone() == (None,)
    assert precheck().verdict in ("passed", "warned")


def test_a_superuser_is_refused_as_the_migrating_role(server: Server, database: Target) -> None:
    with pytest.raises(Exception, match="is a superuser: it needs nothing of this"):
        make_role(server, database.parameters["dbname"], SUPERUSER)


def test_the_script_is_where_it_is_said_to_be() -> None:
    assert (settings.sql() / "roles" / "migration_role.sql").is_file()
