"""All migrations by the engine on a small and a large database: what grows with the data, and what
grows faster.

`python -m benchmarks.growth --scales 1 20`. Prints the steps that take a second or more on the
larger one, rows a second of the backfills, and the runner's memory at the end of each size. Both
sizes begin alike: vacuumed, after a checkpoint, with empty buffers. Otherwise the small one works
in what its loading left in memory, and has no page to log whole.
"""

from __future__ import annotations

import argparse
import resource
import time
from functools import partial
from typing import Any

from mantis_runbook import sandbox, settings
from mantis_runbook.backup import fingerprint
from mantis_runbook.checks import validations
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.phases import plan as plans
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target, resolve

#: Steps of less than this many seconds on the larger database say nothing about growth.
WORTH_SHOWING_S = 1.0


def main(scales: tuple[float, ...] = (1.0, 20.0)) -> None:
    """Seconds of each part at each scale, and their ratio beside that of the rows."""
    measured = [_measured(scale) for scale in scales]
    small, large = measured[0], measured[-1]
    rows = large["rows"] / small["rows"]
    print(
        f"rows {small['rows']:,.0f} and {large['rows']:,.0f}: {rows:.1f} times   (aim: nothing"
        " grows faster)"
    )
    for part, seconds in large["seconds"].items():
        before = small["seconds"].get(part, 0.0)
        if seconds >= WORTH_SHOWING_S:
            print(
                f"{part:60.60} {before:8.2f} s {seconds:8.2f} s  "
                f" {seconds / max(before, 0.001):6.1f} times"
            )
    for name, figures in (("smaller", small), ("larger", large)):
        filled, took = figures["filled"]
        print(
            f"backfills, {name:8} {filled:12,} rows {filled / max(took, 0.001):12,.0f} rows/s  "
            " (aim 50,000)"
        )
        print(
            f"runner's memory, {name:8} {figures['memory_mb']:6d} MB   (aim: constant, below 300)"
        )


def _measured(scale: float) -> dict[str, Any]:
    seconds: dict[str, float] = {}
    began = time.monotonic()
    sandbox.reset(scale=scale)
    seconds["sandbox with data"] = time.monotonic() - began
    target, environment = resolve(), settings.environment("development")
    with connect(target, "benchmark", statement_timeout="0", lock_timeout="0") as connection:
        connection.execute("VACUUM (ANALYZE)")
    sandbox.stop()
    sandbox.start()
    with connect(target, "benchmark", statement_timeout="0") as connection:
        before = _timed(seconds, "fingerprint", lambda: fingerprint.take(connection))
        ledger.install(connection)
        for path in plans.preparation_files():
            if path.parent.name == "monitoring":
                connection.execute(path.read_text().encode())
    filled, took = 0, 0.0
    with hold(target, "benchmark", "benchmark") as fence:
        engine = Engine(target, environment, "benchmark", "benchmark", fence)
        for migration in migration_files.load():
            for step in engine.up(migration).steps:
                seconds[f"{step.version} {step.step}"] = step.duration_ms / 1000
                filled, took = (
                    (filled + step.rows, took + step.duration_ms / 1000)
                    if step.rows
                    else (filled, took)
                )
            validation = partial(_validated, target, migration)
            _timed(seconds, f"{migration.version} validated", validation)
    return {
        "rows": before.rows,
        "seconds": seconds,
        "filled": (filled, took),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _validated(target: Target, migration: migration_files.Migration) -> None:
    with connect(target, "benchmark", statement_timeout="0") as connection:
        catalog.snapshot(connection)
        result = validations.validate(connection, migration.validation)
        if result.failed:
            raise SystemExit(f"{migration.label} does not validate: {result.failed[0].found}")


def _timed(seconds: dict[str, float], what: str, work: Any) -> Any:
    began = time.monotonic()
    result = work()
    seconds[what] = time.monotonic() - began
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scales",
        type=float,
        nargs="+",
        default=[1.0, 20.0],
        help="scales of the sandbox, smallest first",
    )
    main(tuple(parser.parse_args().scales))
