"""The pip section of environment.yml as the requirements file that conda makes of it; printed when
run as a program.
"""

from __future__ import annotations

from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent


def pip_section() -> str:
    """One requirement a line."""
    listed = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    (section,) = (entry["pip"] for entry in listed if isinstance(entry, dict))
    return "".join(f"{line}\n" for line in section)


if __name__ == "__main__":
    print(pip_section(), end="")
