"""Databases with the migrations of phase 4, each built once a server; steps carried out as the
engine does; users acted as.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
from conftest import fresh_database
from workbench import prepared

from mantis_runbook import sandbox, settings
from mantis_runbook.checks import validations
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.scripts import Step
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

FOLDER = settings.sql() / "migrations"
TESTS = settings.sql() / "tests"
STEMS = {
    "001": "001_core_enhancements",
    "002": "002_crm_sales_modules",
    "003": "003_financial_management",
    "004": "004_documents",
    "005": "005_communication",
    "006": "006_partitions",
    "007": "007_audit_partitioned",
    "008": "008_analytics",
    "009": "009_index_optimisation",
}
PHASE_4 = ("004", "005", "006", "007", "008", "009")
LOWEST, HIGHEST = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"

_templates: dict[tuple[str, str], str] = {}


def script(version: str, role: str = "") -> Path:
    """A file of a migration; the role is '', 'rollback' or 'validate'."""
    return FOLDER / f"{STEMS[version]}{'_' + role if role else ''}.sql"


def carry_out(connection: Connection, path: Path, steps: int | None = None) -> None:
    """The steps of a file, or the first of them, as the engine does it."""
    for step in migration_files.read_script(path).steps[:steps]:
        _carry_out(connection, step)


def _carry_out(connection: Connection, step: Step) -> None:
    with connection.transaction() if step.transactional else nullcontext():
        if step.without_triggers:
            connection.execute("SET LOCAL session_replication_role = replica")
        for statement in step.statements:
            if step.batched_over:
                with psycopg.RawCursor(connection) as cursor:
                    cursor.execute(statement.text, (LOWEST, HIGHEST))
            elif step.for_each_row:
                for (text,) in connection.execute(statement.text).fetchall():
                    connection.execute(text)
            else:
                connection.execute(statement.text)


def template(server: Server, baseline_template: str, version: str) -> str:
    """The name of a baseline database with everything up to that version applied, to be cloned."""
    key = (str(server.parameters["host"]), version)
    if key not in _templates:
        earlier = list(STEMS)[: list(STEMS).index(version)]
        source = template(server, baseline_template, earlier[-1]) if earlier else baseline_template
        name = f"up_to_{version}"
        parameters = sandbox.clone(server, source, name)
        with psycopg.connect(**parameters, autocommit=True) as connection:
            carry_out(prepared(connection), script(version))
        _templates[key] = name
    return _templates[key]


@contextmanager
def migrated(server: Server, baseline_template: str, version: str) -> Iterator[Connection]:
    """A superuser's connection to a database of the test's own, migrated up to that version."""
    with (
        fresh_database(server, template(server, baseline_template, version)) as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        yield prepared(connection)


def found(connection: Connection, path: Path) -> str:
    """What a validation, or a file of tests, has to say; '' when all is well."""
    return "; ".join(
        f"{one.name}: {one.found}" for one in validations.validate_file(connection, path).failed
    )


def broken_steps(
    connection: Connection, version: str, breaks: Sequence[tuple[str, str]]
) -> set[str]:
    """Names of the validation's steps that at least one of the breaks makes fail."""
    broken: set[str] = set()
    for statement, _ in breaks:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
            broken |= {
                one.name
                for one in validations.validate_file(connection, script(version, "validate")).failed
            }
    return broken


def steps(version: str) -> set[str]:
    return {step.name for step in migration_files.read_script(script(version, "validate")).steps}


def one(connection: Connection, statement: str, parameters: Any = None) -> Any:
    return connection.execute(statement, parameters).fetchone()[0]


def another(connection: Connection) -> Connection:
    """A second session, of an application."""
    return psycopg.connect(connection.info.dsn, autocommit=True)


class Person(NamedTuple):
    id: UUID
    org: UUID


def person(connection: Connection, org: UUID, role: str = "cs_agent") -> Person:
    user = uuid4()
    connection.execute(
        "INSERT INTO auth.users (id, email) VALUES (%s, %s)", (user, f"{user}@test.example")
    )
    connection.execute(
        "INSERT INTO profile (id, org_id, display_name, role) VALUES (%s, %s, 'Test', %s)",
        (user, org, role),
    )
    return Person(user, org)


def organization(connection: Connection) -> UUID:
    return one(
        connection,
        "INSERT INTO organization (name, slug) VALUES ('Test', %s) RETURNING id",
        (f"test-{uuid4().hex}",),
    )


@contextmanager
def acting(
    connection: Connection, who: Person | None, role: str = "authenticated"
) -> Iterator[None]:
    """Inside, the connection is that role on behalf of that person; nothing it does stays."""
    with connection.transaction(force_rollback=True):
        become(connection, who, role)
        yield


def become(connection: Connection, who: Person | None, role: str = "authenticated") -> None:
    name = str(who.id) if who else ""
    for setting, value in {
        "row_security": "on",
        "request.jwt.claim.sub": name,
        "app.current_user_id": name,
        "role": role,
    }.items():
        connection.execute("SELECT set_config(%s, %s, true)", (setting, value))
