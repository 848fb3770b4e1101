"""How many rows a second a content fingerprint takes, on a generated table of 12 columns.

    python benchmarks/fingerprint.py [--target NAME] [--rows 1000000]

Works in a database of its own, made on the target's server and dropped afterwards. One core:
parallel query is off, and so is the second worker but in the last line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from psycopg import sql

from mantis_runbook.backup import fingerprint
from mantis_runbook.postgres import connection as database
from mantis_runbook.postgres.target import Target, resolve

SCRATCH = sql.Identifier("mantis_benchmark_fingerprint")
TABLE = Path(__file__).with_suffix(".sql")
REPEATS = 3


@contextmanager
def scratch(target: Target) -> Iterator[Target]:
    with database.connect(target, "benchmark") as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(SCRATCH))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(SCRATCH))
        try:
            yield target.database("mantis_benchmark_fingerprint")
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(SCRATCH))


def connect(target: Target) -> database.Connection:
    return database.connect(
        target, "benchmark", max_parallel_workers_per_gather="0", lock_timeout="0"
    )


def fastest(work: Callable[[], fingerprint.Fingerprint]) -> float:
    """Rows a second in the best of three."""
    rates = []
    for _ in range(REPEATS):
        began = time.monotonic()
        rows = work().rows
        rates.append(rows / (time.monotonic() - began))
    return max(rates)


def in_parallel(target: Target) -> fingerprint.Fingerprint:
    with connect(target) as exporting, exporting.transaction():
        exporting.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = exporting.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        return fingerprint.take_parallel(lambda: connect(target), row[0], workers=2)


@click.command()
@click.option("--target", "name", default="", help="as for mantis-runbook; the sandbox by default")
@click.option("--rows", default=1_000_000, show_default=True)
def main(name: str, rows: int) -> None:
    with scratch(resolve(name)) as target:
        with connect(target) as connection:
            for relation in ("first", "second"):
                make = sql.SQL(TABLE.read_text()).format(
                    table=sql.Identifier(relation), rows=sql.Literal(rows)
                )
                connection.execute(make)
            connection.execute("VACUUM ANALYZE")
            version = database.identity(connection).version_text
            click.echo(f"PostgreSQL {version}, two tables of {rows:,} rows and 12 columns")
            click.echo(
                f"one connection  {fastest(lambda: fingerprint.take(connection)):>10,.0f} rows/s"
            )
        click.echo(f"two workers     {fastest(lambda: in_parallel(target)):>10,.0f} rows/s")


if __name__ == "__main__":
    main()
