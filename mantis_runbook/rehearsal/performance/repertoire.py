"""What a database can play: scripts for its load and its gate, and why others are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import psycopg

from mantis_runbook import settings
from mantis_runbook.checks import learnt_statements
from mantis_runbook.checks.tenants.settings import learn_here
from mantis_runbook.display import many
from mantis_runbook.errors import Failed, MigrationFileError
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.performance import learnt_scripts, owner_scripts, replay, scenarios
from mantis_runbook.rehearsal.performance import measure as performance
from mantis_runbook.rehearsal.performance.measure import Accepted
from mantis_runbook.rehearsal.performance.scenarios import Scenario
from mantis_runbook.settings import Environment
from mantis_runbook.watch import application_load

__all__ = [
    "ADVICE",
    "Repertoire",
    "for_the_gate",
    "for_the_load",
    "ours_for_the_load",
    "refuse_unfit",
]

ADVICE = (
    f"name a folder of pgbench scripts in {owner_scripts.VARIABLE}, or load pg_stat_statements and"
    " let the application work"
)

#: A statement that waited in vain, or was the victim of others, may run another time.
PASSING = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)

#: Users that a scenario is tried for on a target: the load plays it for all of them, and tells what
#: fails.
TRIED_ON_TARGET = 3

Source = Literal["owner", "ours", "learnt"]


@dataclass(frozen=True)
class Repertoire:
    """The scripts to play, in name order; by name why a script was left out; and the tables that
    they write to, by oid.
    """

    source: Source
    said: str
    scripts: tuple[Path, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    touched: Mapping[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> str:
        """Why nothing can be played; empty where something can."""
        return (
            ""
            if self.scripts
            else f"no workload is known for this database ({self.said}); {ADVICE}"
        )

    def with_more(self, other: Repertoire) -> Repertoire:
        """Both."""
        return Repertoire(
            self.source,
            f"{self.said}, {other.said}",
            (*self.scripts, *other.scripts),
            {**self.left_out, **other.left_out},
            {**self.touched, **other.touched},
        )

    def accepted(self, migrations: Iterable[str]) -> tuple[Accepted, ...]:
        """What these migrations may cost: our file speaks of our scenarios alone, the owner's lies
        beside the scripts.
        """
        if self.source == "learnt":
            return ()
        return performance.accepted_costs(
            migrations, settings.workload() if self.source == "owner" else None
        )

    @property
    def records(self) -> list[dict[str, str]]:
        return [
            {"scenario": name, "left out because": reason} for name, reason in self.left_out.items()
        ]

    def __str__(self) -> str:
        if not self.left_out:
            return self.said
        named = "; ".join(f"{name}: {reason}" for name, reason in list(self.left_out.items())[:3])
        more = f"; and {len(self.left_out) - 3} more" if len(self.left_out) > 3 else ""
        return f"{self.said}, {many(len(self.left_out), 'script')} left out ({named}{more})"


def refuse_unfit(environment: Environment) -> None:
    """Raise for a folder of the owner's that cannot be used here, before anything begins."""
    if folder := settings.workload():
        owner_scripts.read(folder, environment)


def for_the_gate(
    copy: Target, target: Target, environment: Environment, folder: Path
) -> Repertoire:
    """What runs on this copy of the target as it is before the migration. Each scenario is tried
    with all seeds that the gate uses, and rolled back: dead rows are left in the copy. Learnt
    statements are written to `folder`.
    """
    limits = environment.performance
    seeds = range(limits.seed, limits.seed + max(limits.counted, limits.draws))
    with replay.opened(copy, environment.statement_timeout_s) as connection:
        stage = _Stage(connection, seeds)
        return _chosen(
            stage, target, environment, folder, application_load.scenarios(), only_reads=False
        )


def for_the_load(
    target: Target, environment: Environment, folder: Path, ours: Sequence[Path]
) -> Repertoire:
    """What runs on the target itself, tried in transactions that are rolled back. Of learnt
    statements only what reads, and what the owner's scripts read they may not write by functions
    where the environment has `load_writes = false`.
    """
    with _on_target(target, environment) as connection:
        stage = _Stage(connection, range(TRIED_ON_TARGET))
        return _chosen(stage, target, environment, folder, ours, only_reads=True)


def ours_for_the_load(target: Target, environment: Environment, ours: Sequence[Path]) -> Repertoire:
    """Which of these scenarios of ours run on the target: those of the new tables, once they are
    there.
    """
    with _on_target(target, environment) as connection:
        return _ours(_Stage(connection, range(TRIED_ON_TARGET)), ours)


def _on_target(target: Target, environment: Environment) -> Connection:
    """A session that waits for no lock longer than others of ours: somebody works there."""
    patience = {"lock_timeout": f"{environment.lock_timeout_ms}ms"}
    return replay.opened(target, environment.statement_timeout_s, **patience)


def _chosen(
    stage: _Stage,
    target: Target,
    environment: Environment,
    folder: Path,
    ours: Sequence[Path],
    *,
    only_reads: bool,
) -> Repertoire:
    """The owner's scripts if there are any: what is given goes before what is guessed. Else ours,
    else what was learnt.
    """
    if given := settings.workload():
        paths = owner_scripts.read(given, environment)
        guarded = only_reads and not environment.load_writes
        played = stage.played(paths, lambda one: guarded and not owner_scripts.writes(one))
        return replace(
            played, source="owner", said=f"{many(len(played.scripts), 'script')} of {given}"
        )
    known = _ours(stage, ours)
    return known if known.scripts else _learnt(stage, target, folder, known, only_reads=only_reads)


def _ours(stage: _Stage, paths: Sequence[Path]) -> Repertoire:
    played = stage.played(paths, lambda one: False)
    return replace(
        played,
        source="ours",
        said=f"{len(played.scripts)} of {len(paths)} scenarios of sql/workload",
    )


def _learnt(
    stage: _Stage, target: Target, folder: Path, beside: Repertoire, *, only_reads: bool
) -> Repertoire:
    with connect(target, "learning") as connection:
        known = learnt_statements.statements(connection)
    wanted = [one for one in known.statements if one.only_reads or not only_reads]
    acts = learn_here(stage.connection)
    paths, unplayable = learnt_scripts.written(
        stage.connection, wanted, folder, acts, only_reads=only_reads
    )
    played = stage.played(paths, lambda one: False)
    for path in set(paths) - set(played.scripts):
        path.unlink()
    left_out = {**beside.left_out, **unplayable, **played.left_out}
    return replace(
        played, source="learnt", said=f"{beside.said} run here; {known}", left_out=left_out
    )


@dataclass(frozen=True)
class _Stage:
    """A session in which scenarios are tried."""

    connection: Connection
    seeds: Sequence[int]

    def played(self, paths: Sequence[Path], reads_only: Callable[[Scenario], bool]) -> Repertoire:
        """Which of these run; source and words are the caller's to say."""
        kept, left_out, touched = list[Path](), dict[str, str](), dict[str, int]()
        for path in paths:
            try:
                touched |= self._tried(scenarios.read(path), reads_only)
                kept.append(path)
            except MigrationFileError as error:
                left_out[path.stem] = str(error)
            except Failed as error:
                if isinstance(error.__cause__, PASSING):
                    kept.append(path)
                else:
                    left_out[path.stem] = (
                        f"{error.what.removeprefix('scenario statement ')}: {error.found}"
                    )
        return Repertoire("ours", "", tuple(kept), left_out, touched)

    def _tried(self, scenario: Scenario, reads_only: Callable[[Scenario], bool]) -> dict[str, int]:
        touched: dict[str, int] = {}
        for seed in self.seeds:
            touched |= replay.tried(
                self.connection, scenario, seed, reads_only=reads_only(scenario)
            )
        return touched
