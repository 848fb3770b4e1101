"""How long until the sandbox is ready, empty and with the baseline's data."""

from __future__ import annotations

import time

from mantis_runbook import sandbox
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import resolve


def main() -> None:
    began = time.monotonic()
    sandbox.start(scale=0.001)
    empty = time.monotonic() - began
    began = time.monotonic()
    sandbox.reset()
    full = time.monotonic() - began
    with connect(resolve(), "benchmark") as connection:
        connection.execute("ANALYZE")
        row = connection.execute("SELECT sum(n_live_tup) FROM pg_stat_user_tables").fetchone()
    print(f"sandbox ready            {empty:8.1f} s   (aim 5)")
    print(f"with {row[0] if row else 0:,} rows        {full:8.1f} s   (aim 5 + 20)")


if __name__ == "__main__":
    main()
