"""Rolling phase 4 back through salvage: partitions of older tables are sealed, salvaged and
restored; audit_log goes on.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
from stages import known
from workbench import limits

from mantis_runbook.engine import ledger
from mantis_runbook.engine import rolling_back as rollbacks
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.postgres import commands
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import run


def test_it(database: Target, reports: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MANTIS_RUNBOOK_BACKUPS", str(tmp_path / "backups"))
    with psycopg.connect(**database.parameters, autocommit=True) as c:
        ledger.install(c)

        def up(versions):
            with hold(database, "r", "t") as fence:
                e = Engine(database, limits(step_deadline_s=60), "r", "t", fence)
                for m in known():
                    if m.version in versions:
                        e.up(m)

        up({f"00{n}" for n in range(1, 10)})
        c.execute(
            "INSERT INTO customer_interaction (org_id, customer_id, channel, type, content,"
            " timestamp) SELECT org_id, id, 'chat', 'inquiry', 'today', now() FROM customer"
        )
        c.execute(
            "INSERT INTO audit_log (action, table_name, timestamp) SELECT 'API_CALL', 'ahead', low"
            " FROM partition_bounds('audit_log')"
        )
        rows = c.execute(
            "SELECT count(*) FROM customer_interaction WHERE content = 'today'"
        ).fetchone()
        audit = c.execute("SELECT count(*) FROM audit_log").fetchone()
        begun = run.start(database, limits(step_deadline_s=60), "Ada", phases={})
        chosen = tuple(m for m in reversed(known()) if m.version >= "004")
        refused = []

        def watch(event, **facts):
            if event == "salvage.finished":
                for statement in (
                    (
                        "INSERT INTO customer_interaction (org_id, customer_id, channel, type,"
                        " content, timestamp) SELECT org_id, id, 'chat', 'inquiry', 'late', now()"
                        " FROM customer LIMIT 1"
                    ),
                    "INSERT INTO audit_log (action, table_name) VALUES ('API_CALL', 'late')",
                ):
                    try:
                        c.execute(statement)
                        refused.append("taken")
                    except psycopg.Error as e:
                        refused.append(type(e).__name__)

        done = rollbacks.roll_back(begun, chosen, tmp_path / "salvage", watch=watch)
        print(refused, [(f.table, f.rows) for f in done.salvage.files])
        assert refused == ["ObjectNotInPrerequisiteState", "taken"]
        assert not any("audit_log" in f.table for f in done.salvage.files)
        assert c.execute("SELECT count(*) FROM audit_log").fetchone() == (audit[0] + 1,)
        assert done.left_behind.changes == ()
        c.execute("INSERT INTO audit_log (action, table_name) VALUES ('API_CALL', 'after')")
        c.execute("DELETE FROM audit_log WHERE table_name = 'ahead'")
        up({"004", "005", "006", "007", "008", "009"})
        psql = commands.command("psql", database, "--quiet", "--file=restore.sql")
        subprocess.run(psql.arguments, cwd=tmp_path / "salvage", env=psql.environment, check=True)
        assert (
            c.execute(
                "SELECT count(*) FROM customer_interaction WHERE content = 'today'"
            ).fetchone()
            == rows
        )
