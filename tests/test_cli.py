"""The command line: each command's promise, each exit code by a real situation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import psycopg
import pytest
from project import Project, ask, copy_project, execute, nothing_changes, state
from psycopg.conninfo import make_conninfo

from mantis_runbook import cli, sandbox, settings
from mantis_runbook.command_line import options
from mantis_runbook.engine import rolling_back
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import manifest

DEVELOPMENT = ("--target", "TEST_DSN", "--environment", "development")
STAGING = ("--target", "TEST_DSN", "--environment", "staging")

COMMANDS = [
    *([name] for name in cli.main.commands),
    *(
        ["sandbox", name]
        for name in cli.main.commands["sandbox"].commands  # type: ignore[attr-defined]
    ),
]


# -- help ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_says_in_a_sentence_what_it_does(words: list[str], tmp_path: Path) -> None:
    shown = Project(tmp_path).call(*words, "--help")
    command: click.Command = cli.main
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    sentence = (command.help or "").split("\n\n")[0]
    assert shown.exit_code == 0
    assert " ".join(sentence.split()) in " ".join(shown.stdout.split())
    assert len(sentence.split()) >= 4
    assert sentence[0].isupper()
    assert sentence.rstrip().endswith(".")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_means(words: list[str]) -> None:
    command: click.Command = cli.main
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_the_meaning_of_the_exit_codes_is_told(tmp_path: Path) -> None:
    told = " ".join(Project(tmp_path).call("--help").stdout.split())
    assert (
        "0 passed, 1 failed or rolled back, 2 refused (nothing was changed), 3 inconclusive" in told
    )


# -- run -------------------------------------------------------------------------------------------


def test_a_run_migrates_under_load_and_tells_how_it_went_and_a_second_one_finds_nothing_to_do(
    project: Project, database: Target
) -> None:
    shutil.copy(Path(settings.__file__).with_name("environments.toml"), project.home)  # with load
    first = project.start("run", "--phases", "0-1", "--operator", "Ada", *DEVELOPMENT)
    told, _ = first.communicate(timeout=300)
    assert first.returncode == 0, told
    folder = project.run()
    table = [line.split() for line in told.splitlines()]
    for verb in (
        "precheck",
        "back_up",
        "prove",
        "rehearse",
        "approve",
        "migrate",
        "validate",
        "compare",
    ):
        result = "warned" if verb == "precheck" else "passed"
        assert any(line[:3] == ["01_core_enhancements", verb, result] for line in table), verb
    assert "verdict: passed" in told
    assert f"report:  {folder / 'index.html'}" in told
    assert (folder / "index.html").is_file()
    assert project.summary()["operator"] == "Ada"
    spells = project.events("load.progress")
    assert sum(spell["processed"] for spell in spells) > 0
    assert [spell["errors"] for spell in spells if spell["errors"]] == []
    assert project.summary()["load"]["failed"] == 0

    applied = ask(database, "SELECT applied_at FROM mantis_runbook.schema_migrations")
    before, journalled = (
        state(database)[0],
        ask(database, "SELECT count(*) FROM mantis_runbook.journal"),
    )
    second = project.call("run", "--phases", "1", *DEVELOPMENT)
    assert second.exit_code == 0, second.output
    assert project.verbs("1") == {"precheck": "warned"} | dict.fromkeys(
        list(project.verbs("1"))[1:], "passed"
    )
    skipped = {
        one["verb"]
        for one in project.events("verb.finished")
        if one["summary"].startswith("not needed")
    }
    assert skipped == {"back_up", "prove", "rehearse", "migrate", "compare"}
    assert ask(database, "SELECT applied_at FROM mantis_runbook.schema_migrations") == applied
    assert ask(database, "SELECT count(*) FROM mantis_runbook.journal") == journalled
    assert catalog.diff(before, state(database)[0]).is_empty
    assert [
        path for path in (settings.backups() / project.runs()[-1].name).rglob("*") if path.is_file()
    ] == []


def test_a_wrong_approval_is_refused_even_where_none_is_needed(
    project: Project, prepared: Target
) -> None:
    with nothing_changes(prepared):
        result = project.call("run", "--phases", "1", "--approve", "0123456789abcdef", *DEVELOPMENT)
    assert result.exit_code == 2
    assert "found hash '0123456789abcdef'" in result.stderr


@pytest.mark.parametrize(
    ("words", "name"), [(("--currency-map", "ZAR=USD"), "currency_map"), (("--repack",), "repack")]
)
def test_a_value_that_no_chosen_notebook_reads_is_refused(
    project: Project, prepared: Target, words: tuple[str, ...], name: str
) -> None:
    result = project.call("run", "--phases", "1", *words, *DEVELOPMENT)
    if f"{name}: str" in (project.home / "notebooks" / "01_core_enhancements.ipynb").read_text():
        pytest.skip("the notebook of phase 1 reads it")
    assert result.exit_code == 2
    assert name in result.stderr
    assert project.runs() == []


# -- plan and approval -----------------------------------------------------------------------------


def hash_of(project: Project, *words: str) -> str:
    shown = project.call("plan", "--phases", "1", *(words or STAGING))
    assert shown.exit_code == 0, shown.output
    return shown.stdout.strip().splitlines()[-1].removeprefix("hash: ")


def test_a_plan_shows_every_step_and_reads_only(project: Project, prepared: Target) -> None:
    with nothing_changes(prepared):
        shown = project.call("plan", "--phases", "0-1", *STAGING).stdout
    assert "phase 0: Preparation" in shown
    assert "phase 1: Core enhancements" in shown
    assert "001 core_enhancements" in shown
    assert "approval needed in staging" in shown
    assert project.runs() == []


def test_the_hash_of_a_plan_changes_with_a_file_and_with_the_database(
    project: Project,
    prepared: Target,
    newest_server: Server,
    newest_baseline: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = hash_of(project)
    assert hash_of(project) == first
    assert (
        hash_of(project, *DEVELOPMENT) == first
    )  # the limits are the environment's, the plan is the same
    other = sandbox.clone(newest_server, newest_baseline, "another")
    monkeypatch.setenv("OTHER_DSN", make_conninfo(**other))
    try:
        assert hash_of(project, "--target", "OTHER_DSN") != first
    finally:
        sandbox.drop(newest_server, "another")
    project.edit("-- step:", "-- a remark\n-- step:")
    assert hash_of(project) != first


def test_in_staging_a_missing_or_wrong_or_outdated_approval_changes_nothing(
    project: Project, prepared: Target
) -> None:
    approved = hash_of(project)
    with nothing_changes(prepared):
        for given in ((), ("--approve", "deadbeefdeadbeef")):
            result = project.call("run", "--phases", "1", *given, *STAGING)
            assert result.exit_code == 2
            assert f"expected hash {approved}" in result.stderr
        project.edit("-- step:", "-- a remark\n-- step:", role="_rollback")
        edited = project.call("run", "--phases", "1", "--approve", approved, *STAGING)
        assert edited.exit_code == 2
        assert f"found hash '{approved}'" in edited.stderr
    assert project.runs() == []


def test_in_staging_the_approved_plan_runs_and_the_rollback_wants_its_versions_typed(
    project: Project, prepared: Target
) -> None:
    project.limit("unsafe_durability", "true")  # the test's server has no fsync
    before = state(prepared)[0]
    result = project.call(
        "run", "--phases", "1", "--approve", hash_of(project), "--operator", "Ada", *STAGING
    )
    assert result.exit_code == 0, result.output
    assert project.summary()["approver"] == "Ada"
    assert "approved by Ada" in (project.run() / "01_core_enhancements.html").read_text()

    with nothing_changes(prepared):
        for typed in ((), ("--confirm", "002")):
            refused = project.call("rollback", "001", *typed, *STAGING)
            assert refused.exit_code == 2
            assert "expected '001' typed" in refused.stderr
    result = project.call("rollback", "001", "--confirm", "001", *STAGING)
    assert result.exit_code == 0, result.output
    assert ask(prepared, "SELECT status FROM mantis_runbook.schema_migrations") == "rolled_back"
    assert catalog.diff(before, state(prepared)[0]).after_rollback.is_empty


# -- status ----------------------------------------------------------------------------------------


def test_status_tells_where_a_database_stands(project: Project, unprepared: Target) -> None:
    with nothing_changes(unprepared):
        shown = project.call("status", "--target", "TEST_DSN")
    assert shown.exit_code == 0
    assert "no ledger yet: run phase 0 first" in shown.stdout
    assert "001 core_enhancements" in shown.stdout
    assert "not applied" in shown.stdout


def test_status_tells_applied_migrations_backups_and_runs(
    project: Project, migrated: Target
) -> None:
    execute(
        migrated,
        "INSERT INTO mantis_runbook.migration_backups (phase, backup_location, backup_size_bytes,"
        " checksum, is_valid) VALUES ('1', '/b/proven', 1, 'x', true), ('1', '/b/not_yet', 1, 'x',"
        " NULL), ('1', '/b/bad', 1, 'x', false)",
    )
    shown = project.call("status", "--target", "TEST_DSN").stdout
    assert "completed" in shown
    words = [line.split() for line in shown.splitlines() if "backup of phase 1:" in line]
    assert sorted(line[4:] for line in words) == [
        ["NOT", "VALID", "/b/bad"], ["not", "proven", "/b/not_yet"], ["proven", "/b/proven"],
    ]  # fmt: skip


def test_status_of_a_role_that_may_not_read_the_ledger_is_one_sentence(
    project: Project, migrated: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(migrated, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
    monkeypatch.setenv("GUEST_DSN", make_conninfo(**migrated.parameters | {"user": "guest"}))
    shown = project.call("status", "--target", "GUEST_DSN")
    assert shown.exit_code in (1, 2)
    assert "permission denied" in shown.stderr
    assert "Traceback" not in shown.output


# -- rollback --------------------------------------------------------------------------------------


def test_a_rollback_leaves_the_catalogue_of_before_and_the_migration_can_be_applied_again(
    project: Project, migrated: Target
) -> None:
    result = project.call("rollback", "001", *DEVELOPMENT)
    assert result.exit_code == 0, result.output
    assert ask(migrated, "SELECT status FROM mantis_runbook.schema_migrations") == "rolled_back"
    assert ask(migrated, "SELECT to_regclass('api_key')") is None
    assert "carry_out" in result.stdout
    carried_out = next(one for one in project.events("verb.finished") if one["verb"] == "carry_out")
    assert "what readers and writers saw meanwhile was not measured" in carried_out["summary"]
    again = project.call("rollback", "001", *DEVELOPMENT)
    assert again.exit_code == 2
    assert "001 is rolled_back" in again.stderr
    result = project.call("run", "--phases", "1", *DEVELOPMENT)
    assert result.exit_code == 0, result.output
    assert ask(migrated, "SELECT status FROM mantis_runbook.schema_migrations") == "completed"


@pytest.mark.parametrize(
    ("version", "says"),
    [("009", "expected one of 001"), ("1", "expected one of 001"), ("", "expected one of 001")],
)
def test_a_rollback_of_an_unknown_version_is_refused(
    version: str, says: str, project: Project, migrated: Target
) -> None:
    with nothing_changes(migrated):
        result = project.call("rollback", version, *DEVELOPMENT)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_rollback_of_what_was_never_applied_is_refused(
    project: Project, prepared: Target
) -> None:
    with nothing_changes(prepared):
        result = project.call("rollback", "001", *DEVELOPMENT)
    assert result.exit_code == 2
    assert "never applied" in result.stderr
    assert project.runs() == []


# -- verify and report -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archived(
    newest_server: Server, newest_baseline: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, str]]]:
    """An archived run of phase 0, made once: its project and the environment it needs."""
    home = tmp_path_factory.mktemp("archived") / "project"
    copy_project(home)
    parameters = sandbox.clone(newest_server, newest_baseline, "archived")
    variables = {"MANTIS_RUNBOOK_HOME": str(home), "ARCHIVED_DSN": make_conninfo(**parameters)}
    variables |= {
        f"MANTIS_RUNBOOK_{name.upper()}": str(home / name)
        for name in ("reports", "backups", "sandbox")
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setenv("MANTIS_RUNBOOK_ENVIRONMENTS", str(home / "environments.toml"))
        settings.environments.cache_clear()
        result = Project(home).call(
            "run", "--phases", "0", "--target", "ARCHIVED_DSN", "--environment", "development"
        )
    settings.environments.cache_clear()
    assert result.exit_code == 0, result.output
    yield home, variables
    sandbox.drop(newest_server, "archived")


@pytest.fixture
def archive(
    archived: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A copy of it that a test may damage."""
    home, variables = archived
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(home, tmp_path / "copy")
    monkeypatch.setenv("MANTIS_RUNBOOK_REPORTS", str(tmp_path / "copy" / "reports"))
    return Project(tmp_path / "copy")


def test_an_archive_that_nobody_touched_verifies_by_name_by_path_and_without_a_name(
    archive: Project,
) -> None:
    run = archive.run()
    for words in ((), (run.name,), (str(run),), (f"{run}/",)):
        result = archive.call("verify", *words)
        assert result.exit_code == 0, result.output
        assert "everything is as it was written" in result.stdout
        assert "was not compared" not in result.stderr


def test_verify_finds_a_flipped_byte_and_a_missing_file(archive: Project) -> None:
    page = archive.run() / "00_preparation.html"
    content = bytearray(page.read_bytes())
    content[len(content) // 2] ^= 1
    page.write_bytes(content)
    (archive.run() / "summary.json").unlink()
    result = archive.call("verify")
    assert result.exit_code == 1
    assert "00_preparation.html was changed: same size, other content" in result.stdout
    assert "summary.json is missing" in result.stdout


def test_verify_finds_an_archive_that_was_changed_and_sealed_anew(archive: Project) -> None:
    run = archive.run()
    notebook = run / "00_preparation.ipynb"
    notebook.write_text(notebook.read_text().replace("precheck", "prechecked", 1))
    assert archive.call("report", run.name).exit_code == 0  # makes pages and manifest anew
    assert manifest.verify(run) == ()  # the folder alone does not tell
    result = archive.call("verify", run.name)
    assert result.exit_code == 1
    assert "the database keeps" in result.stdout


def test_verify_says_so_where_the_database_cannot_be_asked(
    archive: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ARCHIVED_DSN")
    result = archive.call("verify")
    assert result.exit_code == 0
    assert (
        "the head kept in the database was not compared: target 'ARCHIVED_DSN' is unknown"
        in result.stderr
    )


def test_a_report_that_is_whole_is_left_as_it_is_and_a_page_that_is_gone_comes_back(
    archive: Project,
) -> None:
    run = archive.run()
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert archive.call("report").stdout.strip() == str(run / "index.html")
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    (run / "00_preparation.html").unlink()
    assert archive.call("report").exit_code == 0
    assert (run / "00_preparation.html").read_bytes() == before["00_preparation.html"]


@pytest.mark.parametrize("command", ["verify", "report"])
def test_an_unknown_run_is_refused(command: str, archive: Project) -> None:
    result = archive.call(command, "20200101T000000Z-nowhere")
    assert result.exit_code == 2
    assert "found '20200101T000000Z-nowhere'" in result.stderr


def test_without_any_run_verify_says_so(project: Project) -> None:
    result = project.call("verify")
    assert result.exit_code == 2
    assert "there is no run" in result.stderr


def test_places_named_by_relative_paths_are_the_same_for_the_command_and_for_the_notebooks(
    project: Project, prepared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.home)
    for name, place in (
        ("HOME", "."),
        ("REPORTS", "elsewhere"),
        ("BACKUPS", "kept"),
        ("ENVIRONMENTS", "environments.toml"),
    ):
        monkeypatch.setenv(f"MANTIS_RUNBOOK_{name}", place)
    project.edit("-- step:", "-- step")  # refused in the notebook's precheck at the latest
    result = project.call("run", "--phases", "0", *DEVELOPMENT)
    assert result.exit_code == 2, result.output
    project.edit("-- step", "-- step:")
    project.limit("disk_factor", "1e12")
    settings.environments.cache_clear()
    result = project.call("run", "--phases", "0", *DEVELOPMENT)
    assert result.exit_code == 2, result.output
    assert "too little disk" in result.output
    (run,) = (project.home / "elsewhere").glob("*/summary.json")
    assert json.loads(run.read_text())["verdict"] == "refused"


# -- sandbox ---------------------------------------------------------------------------------------


def test_the_sandbox_starts_tells_where_it_is_stops_and_begins_anew(project: Project) -> None:
    assert project.call("sandbox", "status").exit_code == 1
    refused = project.call("sandbox", "uri")
    assert refused.exit_code == 2
    assert "start it with `mantis-runbook sandbox start`" in refused.stderr
    try:
        started = project.call("sandbox", "start", "--scale", "0.01")
        assert started.exit_code == 0, started.output
        uri = project.call("sandbox", "uri").stdout.strip()
        assert uri in started.stdout
        with psycopg.connect(uri) as connection:
            connection.execute("CREATE TABLE mine ()")
        assert "scale 0.01" in project.call("sandbox", "status").stdout
        assert "database mantis_db" in project.call("status").stdout
        assert project.call("sandbox", "reset", "--scale", "0.01").exit_code == 0
        with psycopg.connect(uri) as connection:
            assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
    finally:
        assert project.call("sandbox", "stop").stdout == "stopped\n"
    assert project.call("sandbox", "stop").stdout == "it was not running\n"
    assert project.call("status").exit_code == 2


def test_what_a_rollback_takes_back_has_one_list_of_names() -> None:
    assert tuple(rolling_back.SCOPES) == options.SCOPES
