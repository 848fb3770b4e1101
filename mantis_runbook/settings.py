"""The settings of an environment, and where the project's files lie."""

from __future__ import annotations

import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mantis_runbook.errors import ParameterError

__all__ = [
    "ALERTS",
    "Environment",
    "GuardLimits",
    "PerformanceLimits",
    "backups",
    "environment",
    "environments",
    "home",
    "notebooks",
    "own_notebooks",
    "own_sql",
    "reports",
    "sql",
    "workload",
]


#: The variable that holds apprise's URLs, unless an environment names another.
ALERTS = "MANTIS_RUNBOOK_ALERTS"


def _off_or_from(least: float, most: float) -> AfterValidator:
    """A limit that is 0, which means off, or makes sense."""

    def check(value: Any) -> Any:
        if value != 0 and not least <= value <= most:
            raise ValueError(f"0 (off), or {least:,g} to {most:,.10g}")
        return value

    return AfterValidator(check)


def _is_a_name(value: str) -> str:
    if value and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(
            "the name of an environment variable, or nothing; the URLs themselves go into that"
            " variable"
        )
    return value


class GuardLimits(BaseModel):
    """When the guard stops a migration: a figure that reaches its limit trips it.

    0, or absent, means not watched.

    `disk_left_mb` works the other way round: it trips when no more than that is left. Megabytes are
    2**20 bytes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    longest_gap_ms: Annotated[float, _off_or_from(200, 600_000)] = 0
    errors: Annotated[int, _off_or_from(1, 1_000_000)] = 0
    deadlocks: Annotated[int, _off_or_from(1, 1_000_000)] = 0
    blocked_sessions: Annotated[int, _off_or_from(1, 100_000)] = 0
    blocked_for_s: Annotated[float, _off_or_from(0.5, 3_600)] = 0
    replication_lag_mb: Annotated[float, _off_or_from(1, 10_000_000)] = 0
    disk_left_mb: Annotated[float, _off_or_from(1, 100_000_000)] = 0


class PerformanceLimits(BaseModel):
    """What the performance gate measures, and what it lets pass.

    Ratios are after against before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    in_rehearsal: bool = True
    sessions: int = Field(ge=4, le=1_000, default=20)
    rounds: int = Field(ge=2, le=100, default=6)
    draws: int = Field(ge=1, le=100, default=2)
    counted: int = Field(ge=1, le=100, default=5)
    seed: int = Field(ge=0, le=2**31, default=2026)
    threshold: float = Field(gt=1, le=2, default=1.05)
    control: float = Field(gt=0, le=0.5, default=0.02)
    tolerance: float = Field(gt=0, le=1, default=0.05)
    timed_decides: bool = True


class Environment(BaseModel):
    """The limits and gates that hold in one environment; `environments.toml` says what each means.

    Durations carry their unit in the name: `_ms` milliseconds, `_s` seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    approval_required: bool
    rollback_confirmation: bool
    scratch: Literal["beside", "other"]
    unsafe_durability: bool
    publications_may_grow: bool = False
    on_trip: Literal["pause", "roll back"]
    lock_timeout_ms: int = Field(gt=0, le=10_000)
    retry_pause_ms: int = Field(gt=0)
    step_deadline_s: int = Field(gt=0)
    statement_timeout_s: int = Field(gt=0)
    concurrently_deadline_s: int = Field(gt=0)
    batch_target_ms: int = Field(gt=0)
    disk_factor: float = Field(ge=0)
    load_clients: int = Field(ge=0)
    load_rate: float = Field(ge=0)
    load_threads: int = Field(gt=0, default=2)
    load_s: int = Field(ge=0, default=0)
    load_failures_share: float = Field(ge=0, le=1, default=0.01)
    load_writes: bool = False
    locked_table_mb: float = Field(ge=0, le=1_000_000, default=8.0)
    alerts: Annotated[str, AfterValidator(_is_a_name)] = ALERTS
    guard: GuardLimits = GuardLimits()
    performance: PerformanceLimits = PerformanceLimits()


def home() -> Path:
    """The folder of the application: `MANTIS_RUNBOOK_HOME`, or the clone of this package.

    It holds `notebooks/` and `sql/` (`application.toml`, `migrations/`, and where there are any
    `tests/`, `workload/`, `checks/application/`). Backups, reports and the sandbox lie there too,
    unless variables of their own say otherwise.
    """
    return Path(os.environ.get("MANTIS_RUNBOOK_HOME") or _clone())


def sql() -> Path:
    """The folder of the application's SQL: migrations, tests, workload, checks of its own."""
    return home() / "sql"


def own_sql() -> Path:
    """The folder of the runbook's SQL, the same for every application: ledger, catalogue,
    monitoring, checks.
    """
    return _clone() / "sql"


def notebooks() -> Path:
    """The folder of the application's notebooks, one a phase."""
    return home() / "notebooks"


def own_notebooks() -> Path:
    """The folder of the runbook's notebooks, of which preparation, rollback and mission control
    serve every application.
    """
    return _clone() / "notebooks"


def _clone() -> Path:
    return Path(__file__).resolve().parent.parent


def reports() -> Path:
    """Where runs are archived: `MANTIS_RUNBOOK_REPORTS`, or `reports/` of the project."""
    return Path(os.environ.get("MANTIS_RUNBOOK_REPORTS") or home() / "reports").resolve()


@cache
def environments() -> dict[str, Environment]:
    """All environments by name.

    Raises `ParameterError` when the file holds a limit that makes no sense.
    """
    path = Path(
        os.environ.get("MANTIS_RUNBOOK_ENVIRONMENTS")
        or Path(__file__).with_name("environments.toml")
    )
    try:
        profiles = tomllib.loads(path.read_text())
        return {name: Environment(name=name, **limits) for name, limits in profiles.items()}
    except ValidationError as error:
        first = error.errors()[0]
        secret = first["loc"] == (
            "alerts",
        )  # who writes a URL there must not read it again in a log
        raise ParameterError(
            f"{path.name}: setting {'.'.join(map(str, first['loc']))}",
            found="something else, not shown here" if secret else repr(first.get("input")),
            expected=first["msg"].removeprefix("Value error, ").lower(),
            action="correct the file and run again",
        ) from None
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise ParameterError(
            f"{path} cannot be read", found=str(error), action="correct the file"
        ) from None


def environment(name: str) -> Environment:
    """The environment of that name. Raises `ParameterError` for an unknown one."""
    known = environments()
    if name not in known:
        raise ParameterError(
            "environment",
            found=repr(name),
            expected="one of " + ", ".join(known),
            action="choose one with --environment",
        )
    return known[name]


def backups() -> Path:
    """Where backups are kept: `MANTIS_RUNBOOK_BACKUPS`, or `backups/` of the project.

    They hold personal data.
    """
    return Path(os.environ.get("MANTIS_RUNBOOK_BACKUPS") or home() / "backups").resolve()


def workload() -> Path | None:
    """The folder of the owner's own pgbench scripts: `MANTIS_RUNBOOK_WORKLOAD`.

    None: the runbook finds a workload itself.
    """
    given = os.environ.get("MANTIS_RUNBOOK_WORKLOAD")
    return Path(given).resolve() if given else None
