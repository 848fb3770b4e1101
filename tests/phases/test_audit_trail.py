"""Audit trails: each way to break one is found, and named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from project import REPOSITORY, Project, execute

from mantis_runbook import notebook, settings
from mantis_runbook.engine import ledger
from mantis_runbook.engine.ledger import Ledger
from mantis_runbook.errors import ValidationFailed
from mantis_runbook.phases import definitions
from mantis_runbook.phases.final import audit_trail
from mantis_runbook.phases.final.criteria import Trail
from mantis_runbook.phases.final.final_phase import FinalPhase
from mantis_runbook.phases.final.judging import criteria, earlier_runs, verified_trail
from mantis_runbook.phases.parameters import Parameters
from mantis_runbook.postgres.catalog import snapshot
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import manifest
from mantis_runbook.runs.journal import Journal

EARLIER, PRESENT = "20261120T100000Z-TEST_DSN", "20261121T100000Z-TEST_DSN"


def run(name: str) -> Path:
    folder = settings.reports() / name
    folder.mkdir(parents=True)
    for event in ("run.started", "phase.started", "phase.finished"):
        Journal(folder).append(event, phase="1")
    return folder


def sealed(name: str = EARLIER) -> tuple[Path, str]:
    """A run's folder, archived, and its head."""
    folder = run(name)
    (folder / "summary.json").write_text('{"verdict": "passed"}\n')
    return folder, manifest.seal(folder)


def of_archives(folder: Path, heads: dict[str, str]) -> Trail:
    return audit_trail.of_archives(settings.reports() / PRESENT, {folder}, {folder.name}, heads)


# -- archives --------------------------------------------------------------------------------------


def test_an_archive_that_is_as_it_was_written_is_verified(reports: Path) -> None:
    folder, head = sealed()
    assert of_archives(folder, {EARLIER: head}) == Trail((EARLIER,), 0)


def change_summary(folder: Path) -> None:
    (folder / "summary.json").write_text('{"verdict": "PASSED"}\n')


def truncate_journal(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def remove_manifest(folder: Path) -> None:
    (folder / manifest.MANIFEST).unlink()


def seal_anew(folder: Path) -> None:
    change_summary(folder)
    manifest.seal(folder)


@pytest.mark.parametrize(
    ("tamper", "file"),
    [
        (change_summary, "summary.json was changed"),
        (truncate_journal, "journal.jsonl was truncated"),
        (remove_manifest, "manifest.json is missing"),
        (seal_anew, "manifest.json was replaced"),
    ],
)
def test_a_tampered_run_and_its_file_are_named(
    reports: Path, tamper: Callable[[Path], None], file: str
) -> None:
    folder, head = sealed()
    tamper(folder)
    assert of_archives(folder, {EARLIER: head}).broken[0].startswith(f"run {EARLIER}: {file}")


def test_a_journal_that_does_not_tell_any_more_whose_it_is_is_verified_all_the_same(
    reports: Path,
) -> None:
    folder, head = sealed()
    (folder / "journal.jsonl").write_bytes(b"")
    found = audit_trail.of_archives(settings.reports() / PRESENT, (), (), {EARLIER: head})
    assert any("journal.jsonl was truncated" in one for one in found.broken)


def test_what_cannot_be_verified_is_not_called_verified(reports: Path) -> None:
    folder, _ = sealed()
    [unsure] = of_archives(folder, {}).unsure
    assert EARLIER in unsure
    assert "keeps no head" in unsure
    remove_manifest(folder)
    found = of_archives(folder, {})
    assert found.verified == ()
    assert found.open == (
        f"run {EARLIER} is not archived: `mantis-runbook report {EARLIER} --finish`",
    )
    [gone] = audit_trail.of_archives(
        settings.reports() / PRESENT, (), (), {"20260101T000000Z-x": "0"}
    ).unsure
    assert "its folder is not here" in gone


# -- the database's own ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TRIGGER record_audit ON customer", "public.customer.record_audit is gone"),
        (
            "ALTER TABLE customer DISABLE TRIGGER record_audit",
            "public.customer.record_audit does not fire",
        ),
        (
            (
                "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL;"
                " END';CREATE OR REPLACE TRIGGER record_audit AFTER INSERT ON customer FOR EACH ROW"
                " EXECUTE FUNCTION nothing()"
            ),
            "public.customer.record_audit does not fire, or does not write audit_log",
        ),
    ],
)
def test_a_table_that_is_not_audited_any_more_is_found(
    baseline: Connection, statement: str, said: str
) -> None:
    before = snapshot(baseline)
    assert list(audit_trail.lost_triggers(before, before)) == []
    baseline.execute(statement)
    [lost] = audit_trail.lost_triggers(before, snapshot(baseline))
    assert lost.startswith(said)


def verified(target: Target, head: str) -> Trail:
    present, earlier = settings.reports() / PRESENT, settings.reports() / EARLIER
    with connect(target, "test") as connection:
        ledger.install(connection)
        Ledger(connection).record_archive(EARLIER, head, "passed")
        now = snapshot(connection)
        return audit_trail.verify(connection, present, {present, earlier}, {EARLIER}, now, now)


def test_all_of_it_is_verified_and_a_row_that_is_gone_unrecorded_is_for_a_person_to_sign(
    database: Target, reports: Path
) -> None:
    _, head = sealed()
    run(PRESENT)
    assert verified(database, head) == Trail((EARLIER,), 16)
    execute(
        database,
        "INSERT INTO dashboard (org_id, name, created_by) SELECT org_id, 'gone', id FROM profile"
        " LIMIT 1",
        "ALTER TABLE dashboard DISABLE TRIGGER USER",
        "DELETE FROM dashboard WHERE name = 'gone'",
        "ALTER TABLE dashboard ENABLE TRIGGER USER",
    )
    [gap] = verified(database, head).unsure
    assert gap == "audit_log about dashboard: 1 row(s) are gone and no deletion is recorded"


def test_a_broken_journal_of_the_present_run_is_found(database: Target, reports: Path) -> None:
    _, head = sealed()
    path = run(PRESENT) / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"phase.started", b"phase.STARTED"))
    [broken] = verified(database, head).broken
    assert "this run's journal.jsonl, line 3" in broken


def test_the_final_phase_verifies_and_a_tampered_run_fails_it(
    project: Project, migrated: Target
) -> None:
    shutil.copy(REPOSITORY / "notebooks" / "05_final_validation.ipynb", project.home / "notebooks")
    folder, head = sealed()
    change_summary(folder)
    with connect(migrated, "test") as connection:
        Ledger(connection).record_archive(EARLIER, head, "passed")
    begun = notebook.open("1", {"target": "TEST_DSN", "environment": "development"})
    final = FinalPhase(begun.run, definitions.find("5"), Parameters())
    with pytest.raises(ValidationFailed, match="Zero data loss.*Audit trails complete"):
        criteria(final.record)
    trail = verified_trail(final.record, earlier_runs(final.record))
    assert [one for one in trail.broken if EARLIER in one][0].endswith(
        "summary.json was changed: same size, other content"
    )
