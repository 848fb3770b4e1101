"""How often the performance gate is right: trials with no change, and with regressions put in.

    python benchmarks/performance_trials.py [--target NAME] [--trials 20] [--scale 0.25]

Works in databases of its own, made on the target's server and dropped afterwards. Each trial has
users and an order of its own (another seed); "no change" compares the baseline with a second copy
of it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click
import psycopg
from psycopg import sql

from mantis_runbook import sandbox, settings
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target, resolve
from mantis_runbook.rehearsal.performance import measure as performance
from mantis_runbook.settings import Environment

BASE = "mantis_scratch_trials"

CASES = {
    "no change": "",
    "dropped index": "DROP INDEX support_ticket_customer_id_idx",
    "three superfluous indexes": (
        """
        CREATE INDEX superfluous_1 ON customer (org_id, name, id);
        CREATE INDEX superfluous_2 ON customer (phone, email);
        CREATE INDEX superfluous_3 ON customer (created_at, updated_at);
    """
    ),
    "slow trigger": (
        """
        CREATE FUNCTION think() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_sleep(0.002); RETURN NULL; END';
        CREATE TRIGGER think AFTER INSERT OR UPDATE ON customer
        FOR EACH ROW EXECUTE FUNCTION think();
    """
    ),
}
WORDS = ("passed", "failed", "inconclusive")


@contextmanager
def database(target: Target, name: str, template: str = "template0") -> Iterator[Target]:
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    make = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
        sql.Identifier(name), sql.Identifier(template)
    )
    with connect(target, "benchmark", lock_timeout="0") as connection:
        connection.execute(drop)
        connection.execute(make)
        try:
            yield target.database(name)
        finally:
            connection.execute(drop)


@contextmanager
def prepared(target: Target, scale: float) -> Iterator[dict[str, tuple[Target, Target]]]:
    """For each case the database before and the one after."""
    with ExitStack() as databases:
        base = databases.enter_context(database(target, BASE))
        sandbox.load_baseline(base.parameters, scale=scale, seed=2026)
        pairs = {}
        for number, (case, change) in enumerate(CASES.items()):
            after = databases.enter_context(database(target, f"{BASE}_{number}", BASE))
            parameters: dict[str, Any] = dict(after.parameters)
            with psycopg.connect(**parameters, autocommit=True) as connection:
                connection.execute(change.encode() or b"SELECT")
            pairs[case] = (base, after)
        yield pairs


def seeded(environment: Environment, seed: int, sessions: int, rounds: int) -> Environment:
    limits = environment.performance.model_copy(
        update={"seed": seed, "sessions": sessions, "rounds": rounds}
    )
    return environment.model_copy(update={"performance": limits})


@click.command()
@click.option("--target", "name", default="", help="as for mantis-runbook; the sandbox by default")
@click.option("--trials", default=20, show_default=True)
@click.option("--scale", default=0.25, show_default=True)
@click.option("--sessions", default=8, show_default=True)
@click.option("--rounds", default=4, show_default=True)
def main(name: str, trials: int, scale: float, sessions: int, rounds: int) -> None:
    development = settings.environment("development")
    counts: dict[tuple[str, str], Counter[str]] = {}
    strays: list[float] = []
    began = time.monotonic()
    with prepared(resolve(name), scale) as pairs:
        for trial in range(trials):
            for case, (before, after) in pairs.items():
                gate = performance.measure(
                    before, after, seeded(development, 1000 + trial, sessions, rounds)
                )
                strays.append(gate.timed.stray)
                counts.setdefault((case, "deterministic"), Counter())[gate.deterministic.word] += 1
                counts.setdefault((case, "timed"), Counter())[gate.timed.word] += 1
            show(counts, trial + 1, strays, time.monotonic() - began)


def show(
    counts: dict[tuple[str, str], Counter[str]], trials: int, strays: list[float], seconds: float
) -> None:
    strays = sorted(strays)
    click.echo(f"\n{trials} trials of each, {seconds / len(strays):.0f} s a gate")
    click.echo(f"{'':<28}{'part':<16}" + "".join(f"{word:>14}" for word in WORDS))
    for (case, part), verdicts in counts.items():
        click.echo(f"{case:<28}{part:<16}" + "".join(f"{verdicts[word]:>14}" for word in WORDS))
    click.echo(
        f"control: off by {strays[len(strays) // 2]:.1%} in the middle, by {strays[-1]:.1%} at most"
    )


if __name__ == "__main__":
    main()
