"""A sandbox for the notebooks under nbval: always the same data, gone afterwards.

A plugin, loaded by name: `python -m pytest -p tests.notebook_sandbox --nbval-lax
--nbval-current-env notebooks`. The notebooks keep their defaults, so what the defaults mean is set
here, before the first kernel starts.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from mantis_runbook import sandbox
from mantis_runbook.postgres.server_account import temporary

SCALE, SEED = 0.05, 2026

_open = ExitStack()


@contextmanager
def notebook_sandbox() -> Iterator[None]:
    """A running sandbox of our own, with reports and backups beside it, in our environment and our
    children's.
    """
    folder = Path(tempfile.mkdtemp(prefix="mantis-notebooks-", dir=temporary()))
    folder.chmod(0o755)  # the server's account must come through
    for name in ("SANDBOX", "REPORTS", "BACKUPS"):
        os.environ[f"MANTIS_RUNBOOK_{name}"] = str(folder / name.lower())
    os.environ["IPYTHONDIR"] = str(folder / "ipython")
    try:
        with psycopg.connect(sandbox.start(SCALE, SEED).uri, autocommit=True) as connection:
            # What autovacuum has got round to would show in the precheck.
            connection.execute("ALTER SYSTEM SET autovacuum = off")
            connection.execute("SELECT pg_reload_conf()")
        yield
    finally:
        sandbox.stop()
        shutil.rmtree(folder, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    _open.enter_context(notebook_sandbox())


def pytest_unconfigure(config: pytest.Config) -> None:
    _open.close()
