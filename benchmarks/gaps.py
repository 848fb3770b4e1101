"""What the application notices of a change: by the runbook's engine, and by plain psql, side by
side in one run.

    python -m benchmarks.gaps [--target NAME] [--rows 500000] [--scale 1.0]
                              [--rate-hz 50] [--reader-s 10] [--repeat 1]

Two changes: one of a few statements on tables of `--rows` rows (a column with NOT NULL, a foreign
key, an index, a partition), and the real migrations on the baseline at `--scale`. Each is carried
out on a fresh copy, under a load of half of what the server can take (measured first, with the
probe at work as it is later), without a reader and with one that holds its transaction open on each
touched table from just before the change. A gap is the longest time without a success in any lane
of the probe; the machine's own noise is the longest in the seconds before. Throughput is compared
with a load of the same arrivals that nothing disturbed. Works in databases of its own, dropped
afterwards.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import click
import psycopg
from psycopg import sql

from benchmarks import ways
from benchmarks.load import Load, capacity, loaded
from benchmarks.performance_trials import database
from benchmarks.subjects import Subject, Way, baseline, change, changeable, phases
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.target import Target, resolve
from mantis_runbook.watch.probe import Probe, ProbeResult

#: Seconds: of the machine's own noise before a change, and of the measurement of what the server
#: can take.
NOISE_S, CAPACITY_S = 10.0, 5

#: Seconds of an undisturbed load, to compare with. What a change takes longer is not compared.
UNDISTURBED_S = 40.0

#: How much smaller the small one of the two sizes is.
GROWTH = 20

#: What the issue asks for: milliseconds with the reader, milliseconds above the noise without,
#: share of the throughput.
WITH_READER_MS, ABOVE_NOISE_MS, THROUGHPUT = 150.0, 50.0, 0.95


@dataclass(frozen=True)
class Measurement:
    """What one change cost.

    Gaps and noise in milliseconds; `kept` is the share of an undisturbed load's throughput.
    """

    subject: str
    way: str
    reader: bool
    read_gap: float
    write_gap: float
    read_noise: float
    write_noise: float
    kept: float
    failed: int
    incurable: int
    seconds: float
    where: str
    story: ways.Story

    @property
    def gap(self) -> float:
        return max(self.read_gap, self.write_gap)

    @property
    def above_noise(self) -> float:
        return max(self.read_gap - self.read_noise, self.write_gap - self.write_noise)


@contextmanager
def used(
    copy: Target, subject: Subject, tps: float, rate_hz: float
) -> Iterator[tuple[Load, Probe]]:
    """The application at work, and the probe beside it."""
    with connect(copy, "benchmark", lock_timeout="0") as connection:
        connection.execute("CHECKPOINT")
    with (
        tempfile.TemporaryDirectory() as folder,
        loaded(copy, subject.scenario, tps) as load,
        Probe(copy, subject.probed, Path(folder), rate_hz=rate_hz) as probe,
    ):
        time.sleep(2)  # sessions and caches warm up
        yield load, probe


def undisturbed(target: Target, subject: Subject, tps: float, rate_hz: float) -> Load:
    """The same load while nothing is changed."""
    with (
        database(target, "mantis_bench_copy", subject.template) as copy,
        used(copy, subject, tps, rate_hz) as (load, _),
    ):
        time.sleep(NOISE_S + UNDISTURBED_S)
    return load


def measure(
    target: Target,
    subject: Subject,
    way: str,
    tps: float,
    rate_hz: float,
    reader_s: float,
    usual: Load,
) -> Measurement:
    """One change of a fresh copy.

    `reader_s` is 0 for no reader; `usual` is what the load does undisturbed.
    """
    carry_out: Way = getattr(subject, way)
    with (
        database(target, "mantis_bench_copy", subject.template) as copy,
        used(copy, subject, tps, rate_hz) as (load, probe),
    ):
        time.sleep(NOISE_S)
        with reading(copy, subject.read, reader_s) if reader_s else nullcontext():
            begin = time.monotonic()
            probe.mark("migration")
            story = carry_out(copy)
            probe.mark("migrated")
            end = time.monotonic()
        time.sleep(1.5)
    latency = probe.result
    noises = {
        kind: [lane.noise_gap_ms or 0.0 for lane in latency.lanes if lane.lane.startswith(kind)]
        for kind in ("read", "write")
    }
    return Measurement(
        subject=subject.name,
        way=way,
        reader=bool(reader_s),
        read_gap=latency.longest_read_gap_ms or 0.0,
        write_gap=latency.longest_write_gap_ms or 0.0,
        read_noise=max(noises["read"], default=0.0),
        write_noise=max(noises["write"], default=0.0),
        kept=load.kept(begin, end, usual),
        failed=load.failed + load.skipped + len(load.aborted) + sum(latency.errors.values()),
        incurable=sum(latency.incurable.values()),
        seconds=end - begin,
        where=_where(latency, story),
        story=story,
    )


def _where(latency: ProbeResult, story: ways.Story) -> str:
    """The lane with the longest gap, and the step that was going on in the middle of it."""
    worst = max(latency.lanes, key=lambda lane: lane.longest_gap.ms, default=None)
    if worst is None:
        return ""
    middle = latency.figures.instant(worst.longest_gap.from_s + worst.longest_gap.ms / 2000)
    return f"{worst.lane}, in {story.at(middle) or 'no step'}"


@contextmanager
def reading(target: Target, tables: Sequence[str], seconds: float) -> Iterator[None]:
    """A reader whose transaction stays open on these tables for so long."""
    with psycopg.connect(**target.parameters) as connection:  # type: ignore[arg-type]
        for table in tables:
            connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table)))
        timer = threading.Timer(seconds, connection.commit)
        timer.start()
        try:
            yield
        finally:
            timer.join()


HEADS = (
    "subject",
    "way",
    "reader",
    "read gap",
    "write gap",
    "noise r/w",
    "above",
    "kept",
    "failed",
    "incurable",
    "took",
)
WIDTHS = (26, 8, 7, 11, 11, 14, 9, 10, 8, 11, 9)


def line(cells: Sequence[str]) -> str:
    """Cells of the table of measurements; the first two are words, the rest figures."""
    wide = enumerate(zip(cells, WIDTHS, strict=True))
    return "".join(
        cell.rjust(width) if place > 1 else cell.ljust(width) for place, (cell, width) in wide
    )


def show(measured: Measurement) -> None:
    cells = (
        measured.subject,
        measured.way,
        "10 s" if measured.reader else "none",
        f"{measured.read_gap:,.0f} ms",
        f"{measured.write_gap:,.0f} ms",
        f"{measured.read_noise:,.0f}/{measured.write_noise:,.0f} ms",
        f"{measured.above_noise:+,.0f}",
        f"{measured.kept:.1%}",
        str(measured.failed),
        str(measured.incurable),
        f"{measured.seconds:.1f} s",
    )
    click.echo(line(cells))
    waits = (
        f"; {measured.story.lock_waits} locks given up and asked for again"
        if measured.story.lock_waits
        else ""
    )
    click.echo(f"{'':<26}longest: {measured.where}{waits}")
    if measured.story.problem:
        click.secho(f"{'':<26}{measured.story.problem}", fg="red")


def pooled(measurements: Sequence[Measurement]) -> str:
    """The mean share of the throughput over changes and repetitions, with the standard error of
    that mean.
    """
    shares = [measured.kept for measured in measurements]
    error = f" ±{100 * stdev(shares) / sqrt(len(shares)):.1f}" if len(shares) > 1 else ""
    return f"{mean(shares):.1%}{error}"


def targets(measurements: Sequence[Measurement], small: Measurement) -> None:
    """Each figure beside its target, the engine's and psql's."""

    def row(
        title: str, aim: str, figure: Callable[[Sequence[Measurement]], str], *, reader: bool | None
    ) -> None:
        cells = [
            figure(
                [
                    measured
                    for measured in measurements
                    if measured.way == way and reader in (None, measured.reader)
                ]
            )
            for way in ("engine", "psql")
        ]
        click.echo(f"{title:<58}{aim:>14}" + "".join(f"{cell:>16}" for cell in cells))

    def worst(name: str, unit: str = "") -> Callable[[Sequence[Measurement]], str]:
        return lambda ours: f"{max(getattr(measured, name) for measured in ours):,.0f}{unit}"

    click.echo(
        f"\n{'figure: the worst of all, throughput their mean':<58}"
        f"{'target':>14}{'engine':>16}{'psql':>16}"
    )
    row(
        "longest gap, with the reader",
        f"<= {WITH_READER_MS:g} ms",
        worst("gap", " ms"),
        reader=True,
    )
    row(
        "longest gap above the machine's noise, no reader",
        f"<= {ABOVE_NOISE_MS:g} ms",
        worst("above_noise", " ms"),
        reader=False,
    )
    row("throughput kept at half load, no reader", f">= {THROUGHPUT:.0%}", pooled, reader=False)
    row(
        "throughput kept at half load, with the reader", f">= {THROUGHPUT:.0%}", pooled, reader=True
    )
    row("failed transactions and probes", "0", worst("failed"), reader=None)
    row("failures that a retry would not cure", "0", worst("incurable"), reader=None)
    large = next(
        measured
        for measured in measurements
        if measured.subject.startswith("change")
        and measured.way == "engine"
        and not measured.reader
    )
    click.echo(
        f"{f'longest gap at 1x and at {GROWTH}x rows (above noise)':<58}{'no growth':>14}  "
        f" {small.gap:,.0f} ({small.above_noise:+,.0f}) ms and {large.gap:,.0f}"
        f" ({large.above_noise:+,.0f}) ms"
    )


@click.command()
@click.option("--target", "name", default="", help="as for mantis-runbook; the sandbox by default")
@click.option("--rows", default=500_000, show_default=True, help="rows of each table of the change")
@click.option(
    "--scale", default=1.0, show_default=True, help="amount of data for the real migrations"
)
@click.option("--rate-hz", default=50.0, show_default=True, help="rate of each lane of the probe")
@click.option(
    "--reader-s",
    default=10.0,
    show_default=True,
    help="how long the reader keeps its transaction open",
)
@click.option(
    "--repeat", default=1, show_default=True, help="measurements of each; psql is measured once"
)
def main(name: str, rows: int, scale: float, rate_hz: float, reader_s: float, repeat: int) -> None:
    """Print gaps, throughput and failures of both ways, and then each figure beside its target."""
    target, measurements = resolve(name), list[Measurement]()
    with (
        changeable(target, rows) as large,
        changeable(target, rows // GROWTH) as little,
        baseline(target, scale) as base,
    ):
        subjects = (change(large, rows), phases(base))
        rates = [_half(target, subject, rate_hz) for subject in subjects]
        click.echo(line(HEADS))
        for subject, rate in zip(subjects, rates, strict=True):
            usual = undisturbed(target, subject, rate, rate_hz)
            for reader in (0.0, reader_s):
                for way in (*["engine"] * repeat, "psql"):
                    measurements.append(measure(target, subject, way, rate, rate_hz, reader, usual))
                    show(measurements[-1])
        smaller = change(little, rows // GROWTH)
        small = measure(
            target,
            smaller,
            "engine",
            rates[0],
            rate_hz,
            0,
            undisturbed(target, smaller, rates[0], rate_hz),
        )
        show(small)
    targets(measurements, small)


def _half(target: Target, subject: Subject, rate_hz: float) -> float:
    """Half of what the server can take, in transactions a second, while the probe takes its
    part.
    """
    with (
        database(target, "mantis_bench_copy", subject.template) as copy,
        tempfile.TemporaryDirectory() as folder,
        Probe(copy, subject.probed, Path(folder), rate_hz=rate_hz),
    ):
        most = capacity(copy, subject.scenario, CAPACITY_S)
    click.echo(
        f"{subject.name}: the server takes {most:,.0f} transactions a second; the load is"
        f" {most / 2:,.0f}"
    )
    return most / 2


if __name__ == "__main__":
    main()
