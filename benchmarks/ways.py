"""Two ways to carry the same migrations out: the runbook's engine, and psql as the strategy's
script calls it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mantis_runbook import settings
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.migrations.files import Migration
from mantis_runbook.migrations.scripts import Step
from mantis_runbook.postgres import commands
from mantis_runbook.postgres.target import Target

#: What a backfill's batches begin after and end with, when it is one statement.
FIRST, LAST = "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"


@dataclass
class Story:
    """When which step began (UTC), how often a lock was given up and asked for again, and what went
    wrong.
    """

    steps: list[tuple[datetime, str]] = field(default_factory=list)
    lock_waits: int = 0
    problem: str = ""

    def __call__(self, event: str, **facts: Any) -> None:
        if event == "step.started":
            self.steps.append((datetime.now(UTC), f"{facts['version']} {facts['step']}"))

    def at(self, instant: datetime | None) -> str:
        """The step that was going on at that instant; empty where no step was told of."""
        begun = [name for began, name in self.steps if instant is not None and began <= instant]
        return begun[-1] if begun else ""


def engine(target: Target, migrations: Sequence[Migration]) -> Story:
    """Step by step, in the limits of development. Raises what the engine raises."""
    story = Story()
    with hold(target, "bench", "bench") as fence:
        carrying = Engine(
            target, settings.environment("development"), "bench", "bench", fence, story
        )
        for migration in migrations:
            story.lock_waits += sum(step.lock_waits for step in carrying.up(migration).steps)
    return story


def psql(target: Target, files: Sequence[tuple[str, str]]) -> Story:
    """`psql -f` of each named text.

    Like the strategy's script it stops at the first that fails, which the story tells.
    """
    story = Story()
    for name, text in files:
        story.steps.append((datetime.now(UTC), name))
        run = commands.command("psql", target, "--quiet", "--file=-")
        done = subprocess.run(
            run.arguments, env=run.environment, input=text, capture_output=True, text=True
        )
        wrong = [line for line in done.stderr.splitlines() if "ERROR" in line or "FATAL" in line]
        if done.returncode != 0 or wrong:
            story.problem = (
                f"{name} failed:"
                f" {wrong[0].partition('ERROR:')[2].strip() if wrong else done.stderr.strip()}"
            )
            break
    return story


def in_one_transaction(migration: Migration) -> str:
    """The migration as the strategy writes one: BEGIN, all of it, COMMIT.

    Backfills are one statement each.
    """
    steps = "\n".join(_plain(step) for step in migration.up.steps)
    return f"BEGIN;\n{steps}\nCOMMIT;\n"


def _plain(step: Step) -> str:
    text = "\n".join(f"{statement.text};" for statement in step.statements).replace(
        "INDEX CONCURRENTLY", "INDEX"
    )
    if step.batched_over:
        text = text.replace("$1", FIRST).replace("$2", LAST)
    if step.without_triggers:
        return (
            f"SET LOCAL session_replication_role = replica;\n{text}\nSET LOCAL"
            " session_replication_role = origin;"
        )
    return text
