"""The log for operators: off unless asked for, what is sent and run, and never a value or a
secret.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from psycopg import sql

from mantis_runbook import cli, logs
from mantis_runbook.errors import ParameterError
from mantis_runbook.postgres import programs
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.programs import Command
from mantis_runbook.postgres.target import Target


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(logs.VARIABLE, str(tmp_path / "runbook.log"))
    return tmp_path / "runbook.log"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT  1\n  FROM a", "SELECT 1 FROM a"),
        ("SELECT 'it''s secret', E'so \\' secret'", "SELECT '…', '…'"),
        ("""SELECT "it's" FROM a WHERE b = 'secret'""", """SELECT "it's" FROM a WHERE b = '…'"""),
        ("-- it's a secret\nSELECT 1 /* isn't it a secret */ + 'secret'", "SELECT 1 + '…'"),
        ("DO $do$ BEGIN PERFORM 'secret'; END $do$", "DO '…'"),
        ("ALTER ROLE app PASSWORD 'secret'", "ALTER ROLE app PASSWORD '…'"),
    ],
)
def test_a_statement_is_logged_without_its_values(log: Path, text: str, shown: str) -> None:
    logs.statement("mantis_db 1 mantis-runbook/test", text)
    assert (
        log.read_text().rstrip().endswith(f"{os.getpid()} mantis_db 1 mantis-runbook/test: {shown}")
    )
    assert "secret" not in log.read_text()


def test_a_long_statement_is_cut(log: Path) -> None:
    logs.statement("x", "SELECT " + "a, " * 1000)
    assert len(log.read_text()) < logs.WIDTH + 100


def test_nothing_is_logged_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(logs.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    logs.statement("x", "SELECT 1")
    logs.program(["true"])
    assert list(tmp_path.iterdir()) == []


def test_a_programs_command_line_is_logged_and_its_environment_is_not(log: Path) -> None:
    programs.run(Command((sys.executable, "-c", "pass # a b"), {"PGPASSWORD": "secret"}))
    assert log.read_text().rstrip().endswith(f"{sys.executable} -c 'pass # a b'")
    assert "secret" not in log.read_text()


def test_a_file_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.VARIABLE, "/nonexistent/runbook.log")
    with pytest.raises(
        ParameterError, match="MANTIS_RUNBOOK_LOG: found /nonexistent/runbook.log: No such file"
    ):
        logs.program(["true"])


def test_verbose_shows_what_this_process_and_others_log(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(logs.VARIABLE, raising=False)
    end = logs.follow()
    logs.statement("here", "SELECT 1")
    child = "from mantis_runbook import logs; logs.statement('there', 'SELECT 2')"
    subprocess.run([sys.executable, "-c", child], check=True)
    path = Path(os.environ[logs.VARIABLE])
    end()
    shown = capfd.readouterr().err
    assert "here: SELECT 1" in shown
    assert "there: SELECT 2" in shown
    assert not path.exists()
    assert not logs.is_on()


def test_verbose_is_over_when_the_command_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(logs.VARIABLE, raising=False)
    assert (
        CliRunner().invoke(cli.main, ["--verbose", "verify", "20200101T000000Z-nowhere"]).exit_code
        == 2
    )
    assert not logs.is_on()


def test_a_session_logs_what_it_sends_under_its_name(log: Path, empty_database: Target) -> None:
    with connect(empty_database, "etiquette") as connection:
        connection.execute("SELECT %s::text, 'secret'", ("secret",))
        connection.execute(sql.SQL("SELECT {}").format(sql.Literal("secret")))
        with connection.cursor() as cursor, cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
            assert b"".join(copy) == b"1\n"
    text = log.read_text()
    assert "mantis-runbook/etiquette: SELECT %s::text, '…'" in text
    assert "mantis-runbook/etiquette: SELECT '…'" in text
    assert "mantis-runbook/etiquette: COPY (SELECT 1) TO STDOUT" in text
    assert "secret" not in text
