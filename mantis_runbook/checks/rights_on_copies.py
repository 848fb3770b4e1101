"""Rights that our role lacks where backups are restored, with the statement that grants each."""

from __future__ import annotations

import json

from mantis_runbook.checks.check_files import Check
from mantis_runbook.checks.named_checks import Finding, Result
from mantis_runbook.postgres.connection import Connection, query, rows

__all__ = ["may_restore"]

CHECK = Check(
    name="role_may_restore",
    title="What the role lacks where backups are restored",
    severity="fail",
    expected="a superuser there, or a role as sql/roles/migration_role.sql makes it",
    action="give it what is named, on the server of the scratch database",
)


def may_restore(target: Connection, scratch: Connection) -> Result:
    """Whether our role could restore a dump of the target on the scratch server; a finding for each
    kind of right that it lacks there, with the statement that gives it.
    """
    asked = json.dumps(rows(target, query("rights/asked_of_scratch")))
    findings = tuple(
        Finding(row["object"], 1, row["detail"])
        for row in rows(scratch, query("rights/lacking_on_scratch"), {"asked": asked})
    )
    return Result(CHECK, "fail" if findings else "pass", findings, len(findings))
