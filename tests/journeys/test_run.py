"""Runs that do not go as they should: cut off, killed, timed out, failed; and cells run twice, or
out of order.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psycopg
import pytest
from project import REPOSITORY, Project, ask, execute, nothing_changes, scratch_databases, state

from mantis_runbook import notebook, settings
from mantis_runbook.checks import named_checks
from mantis_runbook.engine import interruption
from mantis_runbook.errors import ApprovalMissing, Failed, ParameterError, Refused
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import runner
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import run, summary

DEVELOPMENT = ("--target", "TEST_DSN", "--environment", "development")
NAMES = {"target": "TEST_DSN", "environment": "development"}

STATUS = "SELECT status FROM mantis_runbook.schema_migrations WHERE version = '001'"

#: Holds on the target alone, not on the restored copy that a rehearsal works on.
ON_THE_TARGET = "current_database() NOT LIKE 'mantis\\_scratch\\_%'"


def until(condition: Callable[[], Any], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


@contextmanager
def a_lock_in_the_way(target: Target, table: str = "profile") -> Iterator[None]:
    """Somebody's open transaction that has written: reading and dumping go on, a foreign key to the
    table has to wait.
    """
    with psycopg.connect(**target.parameters) as connection:
        connection.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        yield
        connection.rollback()


def waiting(project: Project) -> bool:
    return bool(project.runs()) and bool(project.events("step.waiting"))


def kernels(project: Project) -> list[int]:
    """Kernels that the project's notebooks run in."""
    mark = f"MANTIS_RUNBOOK_HOME={project.home}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (
                b"ipykernel" in (entry / "cmdline").read_bytes()
                and mark in (entry / "environ").read_bytes()
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


# -- cut off ---------------------------------------------------------------------------------------


def test_a_run_that_was_killed_while_it_migrated_is_resumed_by_the_next_one(
    project: Project, prepared: Target
) -> None:
    before = state(prepared)[0]
    with a_lock_in_the_way(prepared):
        killed = project.start("run", "--phases", "1", *DEVELOPMENT)
        until(lambda: waiting(project), "the migration to wait for a lock")
        cut = project.run()
        assert f"run {cut.name}: at work" in project.call("status", "--target", "TEST_DSN").stdout
        with (
            pytest.raises(Refused, match="is being carried out already"),
            run.working(_opened(cut)),
        ):
            pass
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
    until(lambda: not kernels(project), "the orphaned kernel to end by itself", 15)

    half = interruption.find(prepared, migration_files.load())
    assert half is not None
    assert (half.run, half.version, half.direction) == (cut.name, "001", "up")
    shown = project.call("status", "--target", "TEST_DSN").stdout
    assert "001 core_enhancements            running" in shown
    assert (
        f"run {cut.name} was interrupted in migration 001; `mantis-runbook run` resumes it" in shown
    )
    left_out = project.call("run", "--phases", "0", *DEVELOPMENT)
    assert left_out.exit_code == 2
    assert "expected phase 1 among --phases" in left_out.stderr
    elsewhere = project.call(
        "run", "--phases", "1", "--target", "TEST_DSN", "--environment", "production"
    )
    assert elsewhere.exit_code == 2

    result = project.call("run", "--phases", "1", "--operator", "Grace", *DEVELOPMENT)
    assert result.exit_code == 0, result.output
    assert f"resuming run {cut.name}, which was interrupted in migration 001" in result.stdout
    assert project.run() == cut
    assert ask(prepared, STATUS) == "completed"
    assert ask(prepared, "SELECT count(*) FROM mantis_runbook.migration_backups") == 1, (
        "the proven backup was not taken again"
    )
    assert (cut / "01_core_enhancements.try1.ipynb").is_file()
    assert (cut / "01_core_enhancements.try1.html").is_file()
    told = re.sub(r"<[^>]+>|\s+", " ", (cut / "index.html").read_text())
    assert "the run was interrupted, and resumed at" in told
    assert "by Grace" in told
    assert project.call("verify").exit_code == 0
    assert interruption.find(prepared, migration_files.load()) is None

    assert project.call("rollback", "001", *DEVELOPMENT).exit_code == 0
    assert catalog.diff(before, state(prepared)[0]).after_rollback.is_empty


def _opened(folder: Path) -> run.Run:
    from mantis_runbook.postgres.target import resolve

    place = resolve("TEST_DSN")
    return run.Run(place, settings.environment("development"), "test", folder, run.reach(place))


def test_a_half_done_rollback_is_not_taken_for_an_applied_migration(
    project: Project, migrated: Target
) -> None:
    """As a rollback killed between its steps leaves it: the ledger still says completed, its pass
    is open.
    """
    execute(
        migrated,
        "INSERT INTO mantis_runbook.journal (run, version, direction, state, who)"
        " VALUES ('20260101T000000Z-TEST_DSN', '001', 'rollback', 'begun', 'test')",
    )
    assert ask(migrated, STATUS) == "completed"
    refused = project.call("run", "--phases", "1", *DEVELOPMENT)
    assert refused.exit_code == 2
    assert "was interrupted in the rollback of 001" in refused.stderr
    assert "`mantis-runbook rollback 001`" in refused.stderr
    assert (
        "was interrupted in the rollback of 001"
        in project.call("status", "--target", "TEST_DSN").stdout
    )
    assert project.call("rollback", "001", *DEVELOPMENT).exit_code == 0
    assert ask(migrated, STATUS) == "rolled_back"


def test_a_run_that_left_a_migration_half_done_and_whose_folder_is_gone_says_what_to_do(
    project: Project, prepared: Target
) -> None:
    execute(
        prepared,
        "INSERT INTO mantis_runbook.journal (run, version, direction, state, who) VALUES ('gone',"
        " '001', 'up', 'begun', 'test')",
        "INSERT INTO mantis_runbook.schema_migrations (version, description, status) VALUES ('001',"
        " 'Core', 'running')",
    )
    refused = project.call("run", "--phases", "1", *DEVELOPMENT)
    assert refused.exit_code == 2
    assert "run gone left a migration half done" in refused.stderr
    assert "bring that folder here" in refused.stderr
    assert project.runs() == []


def test_a_run_that_another_runner_is_at_work_on_is_not_taken_over(
    project: Project, prepared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mantis_runbook.command_line import interrupted_run
    from mantis_runbook.engine.fence import hold

    monkeypatch.setattr(interrupted_run, "PATIENCE_S", 0.3)
    execute(
        prepared,
        "INSERT INTO mantis_runbook.journal (run, version, direction, state, who) VALUES ('other',"
        " '001', 'up', 'begun', 'test')",
        "INSERT INTO mantis_runbook.schema_migrations (version, description, status) VALUES ('001',"
        " 'Core', 'running')",
    )
    with hold(prepared, "other", "somebody"):
        refused = project.call("run", "--phases", "1", *DEVELOPMENT)
        assert (
            "is at work on migration 001" in project.call("status", "--target", "TEST_DSN").stdout
        )
    assert refused.exit_code == 2
    assert "run other is at work on migration 001: pid" in refused.stderr


# -- the kernel dies, or time is up ----------------------------------------------------------------


def test_a_killed_kernel_is_not_a_success_and_the_next_run_finishes(
    project: Project, prepared: Target
) -> None:
    def kill() -> None:
        until(lambda: waiting(project), "the migration to wait for a lock")
        for pid in kernels(project):
            os.kill(pid, signal.SIGKILL)

    with a_lock_in_the_way(prepared):
        killer = threading.Thread(target=kill)
        killer.start()
        result = project.call("run", "--phases", "1", *DEVELOPMENT)
        killer.join()
    assert result.exit_code == 3, result.output
    assert "verdict: inconclusive: phase 1: interrupted in migrate" in result.stdout
    folder = project.run()
    assert project.verbs("1")["migrate"] == "interrupted"
    told = (folder / "index.html").read_text()
    assert "interrupted in migrate" in told
    assert "01_core_enhancements.ipynb stopped" in told
    assert project.call("verify").exit_code == 0
    assert ask(prepared, STATUS) == "running"

    result = project.call("run", "--phases", "1", *DEVELOPMENT)
    assert result.exit_code == 0, result.output
    assert project.run() == folder
    assert project.call("verify").exit_code == 0


def test_a_notebook_that_papermill_gave_up_on_is_inconclusive(
    project: Project, prepared: Target
) -> None:
    """papermill calls cells that never ran completed; the journal does not."""
    begun = _begun(project)
    with a_lock_in_the_way(prepared), pytest.raises(Exception, match="timed out") as caught:
        project.papermill(
            "01_core_enhancements", parameters={**NAMES, "run": begun.name}, execution_timeout=10
        )
    assert type(caught.value).__name__ == "CellTimeoutError"
    finished = runner.archive_run(begun)
    assert finished.verdict.word == "inconclusive"
    assert finished.verdict.exit_code == 3
    assert (
        "never ran" in finished.report.read_text() or "interrupted" in finished.report.read_text()
    )


def _begun(project: Project) -> run.Run:
    from mantis_runbook.postgres.target import resolve

    return run.start(
        resolve("TEST_DSN"),
        settings.environment("development"),
        "test",
        phases={"1": list(run_verbs())},
    )


def run_verbs() -> tuple[str, ...]:
    from mantis_runbook.phases.definitions import find

    return find("1").verbs


# -- failures --------------------------------------------------------------------------------------


def failing_validation(project: Project) -> None:
    step = (
        f"-- step: a rule that the target breaks\nDO $$ BEGIN ASSERT NOT {ON_THE_TARGET}, 'this"
        " rule is broken'; END $$;\n\n-- step:"
    )
    project.edit("-- step:", step, role="_validate")


def failing_step(project: Project) -> None:
    path = project.migration
    step = (
        f"\n-- step: what the target refuses\nDO $$ BEGIN IF {ON_THE_TARGET} THEN RAISE 'not with"
        " this target'; END IF; END $$;\n"
    )
    path.write_text(path.read_text().rstrip() + "\n" + step)


@pytest.mark.parametrize(
    ("damage", "verb", "says"),
    [
        (failing_validation, "validate", ("a rule that the target breaks", "this rule is broken")),
        (failing_step, "migrate", ("step 'what the target refuses'", "not with this target")),
    ],
    ids=["a validation fails", "a step fails"],
)
def test_a_phase_that_fails_on_the_target_is_rolled_back_by_itself(
    damage: Callable[[Project], None],
    verb: str,
    says: tuple[str, ...],
    project: Project,
    prepared: Target,
) -> None:
    damage(project)
    before, copies = state(prepared)[0], scratch_databases(prepared)
    result = project.call("run", "--phases", "1", *DEVELOPMENT)
    assert result.exit_code == 1, result.output
    assert f"verdict: rolled back: phase 1: {verb} failed" in result.stdout
    assert (project.verbs("1")[verb], project.verbs("1")["roll_back"]) == ("failed", "passed")
    told = (project.run() / "index.html").read_text().replace("&#x27;", "'").replace("&#39;", "'")
    for words in says:
        assert words in result.stdout
        assert words in told
    assert ask(prepared, STATUS) == "rolled_back"
    assert catalog.diff(before, state(prepared)[0]).after_rollback.is_empty
    assert scratch_databases(prepared) == copies


def test_a_validation_that_fails_on_what_an_earlier_run_migrated_rolls_nothing_back(
    project: Project, migrated: Target
) -> None:
    """The data may be to blame; what was in use since is not dropped because somebody looked."""
    execute(migrated, "ALTER TABLE api_key DISABLE ROW LEVEL SECURITY")
    with nothing_changes(migrated):
        result = project.call("run", "--phases", "1", *DEVELOPMENT)
    assert result.exit_code in (1, 2), result.output
    assert ask(migrated, STATUS) == "completed"


def test_a_rehearsal_that_fails_leaves_the_target_as_it_was(
    project: Project, prepared: Target
) -> None:
    project.edit(
        "-- step:",
        "-- step: never true\nDO $$ BEGIN ASSERT false, 'never true'; END $$;\n\n-- step:",
        role="_validate",
    )
    with nothing_changes_but_backups(prepared):
        result = project.call("run", "--phases", "1", *DEVELOPMENT)
    assert result.exit_code == 1, result.output
    assert "the rehearsal did not go as it must" in result.stdout
    assert "nothing was changed on the target" in result.stdout


def test_a_migration_whose_test_fails_is_stopped_by_its_rehearsal(
    project: Project, prepared: Target
) -> None:
    promise = (
        "-- step: what was promised\nDO $$ BEGIN ASSERT to_regclass('api_quota') IS NOT NULL, 'a"
        " quota was promised'; END $$;\n"
    )
    (project.home / "sql" / "tests" / "integration_001_quota.sql").write_text(promise)
    with nothing_changes_but_backups(prepared):
        result = project.call("run", "--phases", "1", *DEVELOPMENT)
    assert result.exit_code == 1, result.output
    assert "integration_001_quota.sql, what was promised: a quota was promised" in " ".join(
        result.stdout.split()
    )
    assert project.verbs("1")["rehearse"] == "failed"
    assert ask(prepared, STATUS) is None


#: A migration that validates and takes away what the tests of 001 see: a second factor is audited.
FORGETFUL = {
    "": "DROP TRIGGER record_audit ON user_2fa;",
    "_rollback": (
        "CREATE OR REPLACE TRIGGER record_audit AFTER INSERT OR UPDATE OR DELETE ON user_2fa FOR"
        " EACH ROW EXECUTE FUNCTION record_audit('secret_encrypted', 'phone_number',"
        " 'backup_codes');"
    ),
    "_validate": (
        "SELECT FROM pg_trigger WHERE tgrelid = 'user_2fa'::regclass AND tgname = 'record_audit';"
    ),
}


def test_a_migration_that_breaks_what_an_earlier_one_promised_is_stopped_by_its_rehearsal(
    project: Project, migrated: Target
) -> None:
    shutil.copy(REPOSITORY / "notebooks" / "02_crm_sales.ipynb", project.home / "notebooks")
    for role, statement in FORGETFUL.items():
        head = (
            "-- Migration 099: Forgetful\n-- phase: 2\n-- requires: 001\n-- step: factors are not"
            " audited\n"
        )
        project.migration.with_name(f"099_forgetful{role}.sql").write_text(f"{head}{statement}\n")
    with (
        nothing_changes_but_backups(migrated),
        pytest.raises(
            Failed,
            match=(
                r"unit_001_tenants\.sql, secrets stay out of the audit log: making a factor should"
            ),
        ),
    ):
        _rehearsed(number="2")


def test_a_rehearsal_says_how_many_statements_of_tests_ran(
    project: Project, prepared: Target
) -> None:
    assert _rehearsed()["test_statements"] == sum(
        len(step.statements)
        for path in (project.home / "sql" / "tests").glob("*_001_*.sql")
        for step in migration_files.read_script(path).steps
    )


@contextmanager
def nothing_changes_but_backups(target: Target) -> Iterator[None]:
    before, counted = state(target)
    yield
    after, counted_after = state(target)
    assert catalog.diff(before, after).is_empty
    assert counted_after | {"migration_backups": 0} == counted | {"migration_backups": 0}


# -- locked tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["public.profile", "mantis_runbook.schema_migrations"])
def test_a_precheck_gives_up_on_a_locked_table_soon_and_names_who_holds_it(
    project: Project, prepared: Target, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """As a whole, and not check by check: five checks read this table, each with 30 seconds of its
    own.
    """
    core = notebook.open("1", NAMES)
    monkeypatch.setattr(named_checks, "PATIENCE_S", 1.0)
    with psycopg.connect(**prepared.parameters | {"application_name": "maintenance"}) as holder:
        holder.execute(f"LOCK TABLE {table}")
        pid = holder.info.backend_pid
        began = time.monotonic()
        with pytest.raises(Refused) as refused:
            core.precheck()
        locked_s = time.monotonic() - began
        holder.rollback()
    assert (
        f"{table.rpartition('.')[2]} by pid {pid} (maintenance, idle in transaction, LOCK"
        in str(refused.value)
    )
    began = time.monotonic()
    assert core.precheck().verdict in ("passed", "warned")
    assert locked_s < 2.5 + 1.5 * (time.monotonic() - began), (
        "its patience, beside what it takes without a lock"
    )


# -- cells -----------------------------------------------------------------------------------------


def test_cells_run_twice_in_the_wrong_order_or_after_a_kernel_restart_repeat_no_work(
    project: Project, prepared: Target
) -> None:
    core = notebook.open("1", NAMES)
    with pytest.raises(Refused, match="run the cell of 'precheck' first"):
        core.migrate()
    core.precheck()
    with pytest.raises(
        Refused,
        match=r"prove cannot run yet: found back_up not passed .* run the cell of 'back_up' first",
    ):
        core.prove()
    first = core.back_up()
    again = core.back_up()
    assert again._repr_html_() == first._repr_html_()
    assert ask(prepared, "SELECT count(*) FROM mantis_runbook.migration_backups") == 1

    restarted = notebook.open("1", NAMES)  # a new kernel, with the same parameters
    assert restarted.run.name == core.run.name
    assert restarted.back_up() == again
    for verb in ("prove", "rehearse", "approve", "migrate"):
        getattr(restarted, verb)()
    journalled = ask(prepared, "SELECT count(*) FROM mantis_runbook.journal")
    other = notebook.open("1", NAMES)
    for verb in ("migrate", "rehearse", "precheck", "migrate", "prove"):
        assert getattr(other, verb)().verdict in ("passed", "warned")
    other.validate()
    other.compare()
    assert other.conclude().verdict == "passed"
    assert ask(prepared, "SELECT count(*) FROM mantis_runbook.journal") == journalled
    assert ask(prepared, "SELECT count(*) FROM mantis_runbook.migration_backups") == 1
    started = [one["verb"] for one in project.events("verb.started")]
    assert sorted(started) == sorted(set(started)), "each verb was carried out once"
    assert len(project.events("phase.finished")) == 1

    project.call("report", "--finish")
    assert project.summary()["verdict"] == "passed"
    assert project.call("verify").exit_code == 0
    with pytest.raises(ParameterError, match="is finished"):
        notebook.open("1", {**NAMES, "run": core.run.name})
    assert notebook.open("1", NAMES).run.name != core.run.name


def test_what_a_phase_is_given_is_on_record_and_again_when_it_is_given_something_else(
    project: Project, prepared: Target
) -> None:
    first = notebook.open("1", NAMES)
    for _ in range(2):
        notebook.open("1", NAMES | {"run": first.run.name, "approve": "0123456789abcdef"})
    given = [entry for entry in first.run.journal.entries() if "parameters" in entry.facts]
    assert [entry.event for entry in given] == ["phase.started", "phase.parameters"]
    assert summary.read(first.run.folder).parameters == NAMES | {"approve": "0123456789abcdef"}


def test_evidence_that_is_gone_is_said_to_be_gone(project: Project, prepared: Target) -> None:
    from mantis_runbook.errors import Inconclusive

    core = notebook.open("1", NAMES)
    core.precheck()
    (core.run.folder / "evidence" / "1.precheck.json").unlink()
    with pytest.raises(Inconclusive, match="the evidence of precheck is gone"):
        core.precheck()


def test_a_notebook_does_not_join_a_run_that_the_command_line_is_carrying_out(
    project: Project, prepared: Target
) -> None:
    begun = _begun(project)
    with run.working(begun):
        assert run.open_run(**NAMES).name != begun.name


def test_a_run_of_another_database_is_not_continued(
    project: Project, prepared: Target, migrated: Target
) -> None:
    begun = _begun(project)  # TEST_DSN names `migrated` by now
    os.environ["TEST_DSN"] = psycopg.conninfo.make_conninfo(**prepared.parameters)
    with pytest.raises(ParameterError, match="belongs to another target"):
        notebook.open("1", {**NAMES, "run": begun.name})
    assert notebook.open("1", NAMES).run.name != begun.name


# -- the gate --------------------------------------------------------------------------------------


def test_a_gate_that_nobody_answers_stays_closed(project: Project, prepared: Target) -> None:
    """Under papermill nobody can type; staging wants the plan's hash."""
    project.limit("unsafe_durability", "true")
    with pytest.raises(papermill.PapermillExecutionError, match="ApprovalMissing") as caught:
        project.papermill(
            "01_core_enhancements", parameters={"target": "TEST_DSN", "environment": "staging"}
        )
    assert "plan of phase 1 is not approved: found no approval, expected hash" in str(caught.value)
    assert ask(prepared, STATUS) is None
    assert ask(prepared, "SELECT to_regclass('api_key')") is None
    executed = nbformat.read(project.home / "01_core_enhancements.out.ipynb", as_version=4)
    assert not any("migrate()" in cell.source and cell.get("outputs") for cell in executed.cells)


def _rehearsed(
    verbs: tuple[str, ...] = ("precheck", "back_up", "prove", "rehearse"), number: str = "1"
) -> dict[str, Any]:
    opened = notebook.open(number, NAMES)
    for verb in verbs:
        evidence = getattr(opened, verb)()
    return dict(evidence.facts)


def test_a_rehearsal_measures_what_the_migration_costs_the_application(
    project: Project, prepared: Target
) -> None:
    project.limit("in_rehearsal", "true")
    found = _rehearsed()
    assert found["performance"] == "passed"
    assert "56 statements, 56 of them cost the same to the digit" in found["performance_summary"]


def test_a_migration_that_makes_the_application_dearer_is_stopped_by_its_rehearsal(
    project: Project, prepared: Target
) -> None:
    project.limit("in_rehearsal", "true")
    names = ("name", "company", "email")
    steps = "".join(
        f"\n-- step: superfluous {name}\nCREATE INDEX CONCURRENTLY superfluous_{name} ON customer"
        f" (org_id, {name}, id);\n"
        for name in names
    )
    project.migration.write_text(project.migration.read_text() + steps)
    back = project.migration.with_name("001_core_enhancements_rollback.sql")
    first = "-- step: keys, sessions and factors no longer point to users"
    dropped = "".join(
        f"-- step: superfluous {name}\nDROP INDEX CONCURRENTLY IF EXISTS superfluous_{name};\n"
        for name in names
    )
    assert first in back.read_text()
    back.write_text(back.read_text().replace(first, f"{dropped}{first}", 1))
    with pytest.raises(
        Failed, match=r"customer_crud:\d+ INSERT customer: visits [\d,]+ blocks.* bytes of log"
    ):
        _rehearsed()
    assert ask(prepared, STATUS) is None
    assert ask(prepared, "SELECT to_regclass('superfluous_name')") is None


def test_a_migration_that_opens_a_way_between_tenants_is_stopped_by_its_rehearsal(
    project: Project, prepared: Target
) -> None:
    project.edit(
        "CREATE POLICY user_2fa_of_own_user ON user_2fa\n    FOR ALL TO authenticated\n    USING"
        " (user_id = (SELECT tenant_user_id()))",
        "CREATE POLICY user_2fa_of_own_user ON user_2fa\n    FOR ALL TO authenticated\n    USING"
        " (true)",
    )
    with pytest.raises(Failed, match="tenant isolation is broken: user_2fa"):
        _rehearsed()
    assert ask(prepared, STATUS) is None


def test_a_migration_that_breaks_the_old_application_is_stopped_by_its_rehearsal(
    project: Project, prepared: Target
) -> None:
    step = (
        "\n-- step: a rule that the old application does not know\nALTER TABLE customer ADD"
        " CONSTRAINT named CHECK (name <> '') NOT VALID;\n"
    )
    project.migration.write_text(
        project.migration.read_text() + step.replace("name <> ''", "phone IS NOT NULL")
    )
    back = project.migration.with_name("001_core_enhancements_rollback.sql")
    first = "-- step: keys, sessions and factors no longer point to users"
    gone = "-- step: the rule\nALTER TABLE customer DROP CONSTRAINT IF EXISTS named;\n"
    back.write_text(back.read_text().replace(first, gone + first, 1))
    with pytest.raises(Failed, match="the old application would not work"):
        _rehearsed()
    assert ask(prepared, STATUS) is None


def test_an_approval_is_void_once_a_file_has_changed(project: Project, prepared: Target) -> None:
    core = notebook.open("1", NAMES)
    for verb in ("precheck", "back_up", "prove", "rehearse", "approve"):
        getattr(core, verb)()
    project.edit("-- step:", "-- a remark\n-- step:")
    with pytest.raises(ApprovalMissing, match="the plan of phase 1 changed after it was approved"):
        core.migrate()
    assert ask(prepared, STATUS) is None
