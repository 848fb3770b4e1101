"""All benchmarks, one after the other, on a sandbox of their own: `make bench`."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from benchmarks import backup, memory, ready


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="mantis-bench-"))
    os.environ |= {
        "MANTIS_RUNBOOK_SANDBOX": str(folder / "sandbox"),
        "MANTIS_RUNBOOK_REPORTS": str(folder / "reports"),
        "MANTIS_RUNBOOK_BACKUPS": str(folder / "backups"),
    }
    from benchmarks import fingerprint
    from mantis_runbook import sandbox

    try:
        ready.main()
        backup.main()
        fingerprint.main([], standalone_mode=False)
        memory.main()
    finally:
        sandbox.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
