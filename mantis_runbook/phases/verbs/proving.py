"""Prove: the dump restored into a scratch database, and compared with its snapshot."""

from __future__ import annotations

from mantis_runbook.backup import backup
from mantis_runbook.backup.backup import Proof
from mantis_runbook.errors import BackupNotProven
from mantis_runbook.phases import evidence_tables
from mantis_runbook.phases.copy import PhaseCopy
from mantis_runbook.phases.record import PhaseRecord
from mantis_runbook.phases.verbs.already_applied import is_applied, not_needed
from mantis_runbook.runs.evidence import Evidence, Table

__all__ = ["prove"]


def prove(record: PhaseRecord) -> Evidence:
    """Restore the backup and compare it.

    Only a backup that restores, equal in content and catalogue, is recorded as valid. Raises
    `BackupNotProven`.
    """
    if is_applied(record):
        return not_needed(record, "prove")
    copy = PhaseCopy(record)
    taken = copy.backup
    proof = backup.prove(taken, copy.create())
    copy.record_proof(taken.full.name, is_valid=proof.is_valid)
    content = _content(proof)
    if not proof.is_valid:
        record.show_red(
            Evidence(record.number, "prove", "failed", proof.content.message, (content,))
        )
        raise BackupNotProven(
            f"backup of phase {record.number} does not match its snapshot",
            found=_mismatch(proof),
            expected="equal content and an equal catalogue",
            action=f"the dump is kept at {taken.folder}; take another before you go on",
        )
    summary = (
        f"restored copy equals the snapshot: {proof.content.message}; {proof.catalogue.summary}"
    )
    if proof.left_out:
        summary += (
            f"; not proven: {', '.join(f'extension {one.extension}' for one in proof.left_out)}"
        )
    return Evidence(
        record.number,
        "prove",
        "warned" if proof.left_out else "passed",
        summary,
        (content, *evidence_tables.proof_tables(proof)),
        {"scratch": proof.scratch, "lacking": proof.lacking},
    )


def _content(proof: Proof) -> Table:
    records = [
        {
            "table": verdict.table,
            "verdict": "pass" if verdict.is_equal else "fail",
            "rows restored": verdict.found,
            "rows in the snapshot": verdict.expected,
        }
        for verdict in proof.content.verdicts
    ]
    return Table("content, table by table", records, "verdict", folded=proof.is_valid)


def _mismatch(proof: Proof) -> str:
    content = "" if proof.content.is_equal else proof.content.message
    catalogue = "" if proof.catalogue.is_empty else str(proof.catalogue)
    return "; ".join(part for part in (content, catalogue) if part)
