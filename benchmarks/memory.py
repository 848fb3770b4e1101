"""The runner's memory while it backs up and proves, at two sizes of the same database: it must not
grow with it.
"""

from __future__ import annotations

import subprocess
import sys

from mantis_runbook import sandbox

PROGRAM = """
import resource, shutil, tempfile
from pathlib import Path
from mantis_runbook.backup import backup; from mantis_runbook.backup import scratch
from mantis_runbook.postgres.target import resolve
folder = Path(tempfile.mkdtemp(prefix="mantis-bench-"))
taken = backup.take(resolve(), folder / "backup")
backup.prove(taken, scratch.create_scratch(resolve(), "mantis_scratch_bench"))
scratch.drop_scratch(resolve(), "mantis_scratch_bench")
shutil.rmtree(folder)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main() -> None:
    for scale in (1.0, 5.0):
        sandbox.reset(scale=scale)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
        )
        print(
            f"runner's memory          {int(done.stdout):8d} MB  at scale {scale:g}   (aim below"
            " 300)"
        )


if __name__ == "__main__":
    main()
