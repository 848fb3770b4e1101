"""References to databases: what each way means, what is refused, and that no secret comes out
again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from mantis_runbook.errors import RunbookError, TargetError
from mantis_runbook.postgres import commands
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import Server, free_port
from mantis_runbook.postgres.target import Target, resolve

SECRET = "hunter2-•-geheim"
DSN = f"postgresql://mantis:{SECRET}@db.example.org:6432/mantis_db"


@pytest.fixture(autouse=True)
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, service or sandbox of the machine's own."""
    for name in (
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGDATABASE",
        "PGPASSWORD",
        "PGSERVICE",
        "PGSYSCONFDIR",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services.conf"))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path))
    monkeypatch.setenv("MANTIS_RUNBOOK_SANDBOX", str(tmp_path / "sandbox"))


@pytest.fixture
def services(tmp_path: Path) -> Path:
    path = tmp_path / "services.conf"
    path.write_text(
        f"[staging]\nhost=db.example.org\npassword={SECRET}\n[production]\nhost=db2.example.org\n"
    )
    return path


def refusal(name: str) -> TargetError:
    with pytest.raises(TargetError) as caught:
        resolve(name)
    assert SECRET not in everything(caught.value)
    return caught.value


def everything(error: RunbookError) -> str:
    """All that a report could show of an error, its visible causes included."""
    facts = [str(error), repr(error), *map(str, vars(error).values())]
    if error.__cause__ is not None:
        facts.append(str(error.__cause__))
    if error.__context__ is not None and not error.__suppress_context__:
        facts.append(str(error.__context__))
    return "\n".join(facts)


@pytest.mark.parametrize("name", ["", "sandbox"])
def test_the_sandbox_is_meant_when_nothing_is_named(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "sandbox"
    folder.mkdir()
    parameters = {"host": "/tmp/s", "port": "5432", "user": "mantis", "dbname": "mantis_db"}
    (folder / "state.json").write_text(json.dumps({"parameters": parameters, "pid": 1}))
    target = resolve(name)
    assert (target.name, target.kind, target.parameters, target.is_sandbox) == (
        "sandbox",
        "sandbox",
        parameters,
        True,
    )


def test_a_sandbox_that_does_not_run_says_how_to_start_it() -> None:
    assert (
        str(refusal("sandbox"))
        == "the sandbox is not running; start it with `mantis-runbook sandbox start`"
    )


def test_a_service_is_named_and_never_read(services: Path) -> None:
    target = resolve("staging")
    assert (target.kind, target.parameters) == ("service", {"service": "staging"})


def test_a_variable_that_holds_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_DSN", DSN)
    target = resolve("PROD_DSN")
    assert (target.name, target.kind) == ("PROD_DSN", "variable")
    assert target.parameters["host"] == "db.example.org"
    assert target.parameters["port"] == "6432"


def test_a_variable_that_holds_keywords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_DSN", f"host=h dbname=d user=u password='{SECRET}'")
    assert resolve("PROD_DSN").parameters == {
        "host": "h",
        "dbname": "d",
        "user": "u",
        "password": SECRET,
    }


def test_pg_stands_for_the_variables_of_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.org")
    assert (resolve("PG").kind, resolve("PG").parameters) == ("PG", {})


def test_db_stands_for_the_strategys_variables_and_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DB_HOST", "db.example.org")
    expected = {"host": "db.example.org", "port": "5432", "dbname": "mantis_db", "user": "postgres"}
    assert resolve("DB").parameters == expected


def test_db_without_its_variables_is_refused() -> None:
    assert "DB_HOST, DB_PORT, DB_NAME, DB_USER" in str(refusal("DB"))


@pytest.mark.parametrize("dsn", [DSN, f"host=h password={SECRET}", f"postgres://u:{SECRET}@h/d"])
def test_a_connection_string_is_refused_without_repeating_it(dsn: str) -> None:
    error = refusal(dsn)
    assert "put the connection string into a variable" in str(error)
    assert dsn not in everything(error)


@pytest.mark.parametrize("name", ["nowhere", "staging ", "SANDBOX", "prod_dsn"])
def test_an_unknown_name_is_refused_with_the_ways_there_are(
    name: str, services: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROD_DSN", DSN)
    error = refusal(name)
    assert "is unknown" in str(error)
    assert "choose one with --target" in str(error)


def test_a_name_that_means_two_things_is_refused(
    services: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("staging", DSN)
    assert "a service and a variable of that name" in str(refusal("staging"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        SECRET,
        f"{SECRET}=x y",
        f"postgresql://u:{SECRET}@[h/d",
        f"passwort={SECRET}",
        f"password='{SECRET}",
    ],
)
def test_a_variable_that_holds_no_connection_string_is_refused_without_repeating_it(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROD_DSN", value)
    assert "variable PROD_DSN: found a value that is no connection string" in str(
        refusal("PROD_DSN")
    )


def test_a_target_never_shows_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_DSN", DSN)
    target = resolve("PROD_DSN")
    for shown in (
        repr(target),
        str(target),
        f"{target}",
        repr([target]),
        repr(target.database("other")),
    ):
        assert SECRET not in shown
        assert "db.example.org" not in shown


def test_another_database_of_the_same_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROD_DSN", DSN)
    target = resolve("PROD_DSN")
    other = target.database("scratch")
    assert other.parameters == target.parameters | {"dbname": "scratch"}
    assert target.parameters["dbname"] == "mantis_db"


def test_child_programs_get_secrets_by_variable_and_nothing_of_another_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROD_DSN", DSN)
    monkeypatch.setenv("PGPASSWORD", "of another database")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")
    made = commands.aimed(Path("pg_dump"), resolve("PROD_DSN"))
    assert "host=db.example.org" in " ".join(made.arguments)
    assert made.environment["PGPASSWORD"] == SECRET
    assert "PGOPTIONS" not in made.environment


def unreachable(parameters: dict[str, str]) -> str:
    target = Target("PROD_DSN", "variable", parameters)
    with pytest.raises(TargetError) as caught:
        connect(target, "test")
    shown = everything(caught.value)
    assert SECRET not in shown
    assert "cannot connect to target PROD_DSN" in shown
    assert caught.value.exit_code == 2
    return shown


@pytest.fixture
def guarded(own_server: Callable[..., Server]) -> dict[str, str]:
    """Parameters of a server that asks for a password, and their right one."""
    server = own_server(listen="127.0.0.1", port=free_port())
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute("SET password_encryption = 'scram-sha-256'")
        connection.execute("CREATE ROLE operator LOGIN PASSWORD 'right-one'")
    (server.data / "pg_hba.conf").write_text(
        "host all operator 127.0.0.1/32 scram-sha-256\nlocal all mantis trust\n"
    )
    server.reload()
    return {"host": "127.0.0.1", "port": str(server.port), "user": "operator", "dbname": "postgres"}


def test_a_wrong_password_is_told_and_not_shown(guarded: dict[str, str]) -> None:
    assert "password authentication failed" in unreachable(guarded | {"password": SECRET})


def test_a_missing_password_is_told(guarded: dict[str, str]) -> None:
    assert "no password supplied" in unreachable(guarded)


def test_the_right_password_connects(guarded: dict[str, str]) -> None:
    with connect(
        Target("PROD_DSN", "variable", guarded | {"password": "right-one"}), "test"
    ) as connection:
        assert connection.info.user == "operator"


def test_a_refused_connection_is_told() -> None:
    shown = unreachable(
        {"host": "127.0.0.1", "port": str(free_port()), "user": "u", "password": SECRET}
    )
    assert "Connection refused" in shown
    assert "check that the server runs" in shown


def test_a_host_that_does_not_exist_is_told() -> None:
    unreachable({"host": "db.invalid", "user": "u", "password": SECRET})


def test_a_service_that_is_gone_is_told(services: Path) -> None:
    target = resolve("staging")
    services.write_text("")
    with pytest.raises(TargetError, match='definition of service "staging" not found'):
        connect(target, "test")


def test_a_missing_database_is_told(server: Server) -> None:
    assert 'database "no_such_database" does not exist' in unreachable(
        server.parameters | {"dbname": "no_such_database", "password": SECRET}
    )


@pytest.mark.parametrize("broken", [{"port": "no-port"}, {"sslmode": "no-mode"}])
def test_a_parameter_that_makes_no_sense_is_told(broken: dict[str, str]) -> None:
    unreachable(
        {"host": "127.0.0.1", "port": str(free_port()), "user": "u", "password": SECRET} | broken
    )


def test_a_connection_string_may_set_what_the_runbook_sets_too(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = server.parameters | {"connect_timeout": "3", "application_name": "theirs"}
    monkeypatch.setenv("PROD_DSN", make_conninfo(**parameters))
    with connect(resolve("PROD_DSN"), "test") as connection:
        row = connection.execute("SELECT current_setting('application_name')").fetchone()
    assert row == ("mantis-runbook/test",)
