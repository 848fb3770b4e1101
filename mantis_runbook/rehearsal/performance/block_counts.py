"""What statements cost in blocks, write-ahead log and plan: figures that repeat to the digit.

Two executions of one statement in one database differ for reasons that say nothing about the
statement. What varies, and how each is met:

- Where free space, full pages and dead rows lie: each rolled-back insertion changes it → each count
  is taken in a fresh copy of the database (CREATE DATABASE … TEMPLATE), alike to the byte; the
  database itself is not written to, not even its sequences.
- Rows that an earlier transaction left dead, pruned or not as transactions of other databases
  happen to stand → VACUUM with index cleanup before every transaction; it also sets the search for
  free space back to the first page.
- Random uuids: another leaf page each time, now and then a split → defaults and texts that draw one
  are replaced, for the length of the transaction, by a series that begins anew.
- Shared buffers: a block is hit or read → both are counted as one.
- Full-page images after a checkpoint, and dropping any database forces one → one database is
  counted after the other; a figure that holds such an image is not taken.
- Hint bits, relation and catalogue caches → the scenario is played once for nothing, in the same
  transaction, just before it counts: the same pages are touched.
- Timestamps in JSON, a byte shorter when they end in 0 → a transaction begins at an instant that
  does not (`replay.rolled_back`).
- Planning → statements are prepared and planned when they are played for nothing.
- Parallel workers, jit, synchronised scans → off (`replay.SESSION`).
- A sample's statistics → ANALYZE with a target that reads all rows (`replay.level`).
- AFTER triggers, which EXPLAIN leaves out; constraints checked at COMMIT → the statement runs
  inside a function that is explained (`sql/performance/counted.sql`).
- A checkpoint, a cache reset, an UPDATE whose old and new timestamps share a byte (its log record
  leaves that out) → counted again in another copy, until two agree.

Blocks dirtied and written are left out: they say what was clean before, not what the statement
does. What is left is named: a statement that never gave the same figures twice is in
`Counted.inexact`. Random values inside functions can cause that, and long values that
are stored compressed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from mantis_runbook.postgres.connection import Connection, query, rows, scalar
from mantis_runbook.postgres.target import Target
from mantis_runbook.rehearsal.performance import replay
from mantis_runbook.rehearsal.performance.replay import Bound, Row
from mantis_runbook.rehearsal.performance.scenarios import Scenario

__all__ = ["Count", "Counted", "count", "read", "scanned"]

#: Passes before a statement is called inexact. Two agree in all but the rarest cases.
PASSES = 6

#: A series of uuids that begins anew with each transaction, without any object in the database.
PINNED = (
    "md5('mantis runbook ' || set_config('mantis_runbook.drawn',"
    " (current_setting('mantis_runbook.drawn')::bigint + 1)::text, true))::uuid"
)
RANDOM = re.compile(r"\b(?:pg_catalog\.)?gen_random_uuid\(\s*\)", re.IGNORECASE)

#: Planning is not counted: it depends on caches, and an index without a row makes it read more than
#: one that has some. So what triggers and functions execute is planned once, too.
SESSION = {"plan_cache_mode": "force_generic_plan"}

#: A table of fewer blocks is as well read from end to end.
LARGE_BLOCKS = 64

#: A relation in a plan as `_shape` writes it; partitions stand for themselves.
RELATION = re.compile(r" on (\S+)(?: by |$)", re.MULTILINE)

SEQ_SCAN = re.compile(r"^ *Seq Scan on (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Count:
    """Blocks of 8 kB visited (shared: hit or read; temporary: read or written), records and bytes
    of write-ahead log, summed over the executions; and the plan of each: node types, relations and
    indexes, without costs. `full_pages` are images of whole pages in that log, which a checkpoint
    causes. `each` are blocks and bytes of every execution.
    """

    blocks: int = 0
    wal_records: int = 0
    wal_bytes: int = 0
    plans: tuple[str, ...] = ()
    full_pages: int = 0
    each: tuple[tuple[int, int], ...] = ()

    def __add__(self, other: Count) -> Count:
        return Count(
            self.blocks + other.blocks,
            self.wal_records + other.wal_records,
            self.wal_bytes + other.wal_bytes,
            self.plans + other.plans,
            self.full_pages + other.full_pages,
            self.each + other.each,
        )

    @property
    def by_execution(self) -> tuple[tuple[int, int], ...]:
        """Blocks and bytes of log of each execution; of the only one, where the sum is all there
        is.
        """
        return self.each or ((self.blocks, self.wal_bytes),)


@dataclass(frozen=True)
class Counted:
    """Figures by statement. `executions` of each were summed; `large` are the tables worth an
    index.
    """

    counts: dict[str, Count]
    executions: int
    inexact: tuple[str, ...]
    large: frozenset[str]
    passes: int


def count(
    target: Target,
    scenarios: Sequence[Scenario],
    *,
    seed: int,
    draws: int,
    timeout_s: int,
    touched: Mapping[str, int] | None = None,
) -> Counted:
    """Play each scenario with `draws` seeds in copies of the database, and count, until two copies
    agree.

    The database must have been levelled (`replay.level`), and nobody may be connected to it while
    it is copied. `touched` are the tables that the scenarios write to, by oid, where it is known
    already: finding out takes a copy of its own.
    """
    seeds = range(seed, seed + draws)
    passes: list[dict[str, Count]] = []
    tables = _touched(target, scenarios, seed, timeout_s) if touched is None else touched
    with replay.opened(target) as connection:
        found = rows(connection, query("performance/large_tables"), {"blocks": LARGE_BLOCKS})
    while len(passes) < PASSES and not _all_settled(passes):
        with replay.copied(target) as copy, replay.opened(copy, timeout_s, **SESSION) as connection:
            passes.append(_pass(connection, tables, scenarios, seeds))
    settled = {name: _settled([one[name] for one in passes]) for name in passes[-1]}
    inexact = tuple(name for name, (_, exact) in settled.items() if not exact)
    large = frozenset(str(row["name"]) for row in found)
    return Counted(
        {name: figure for name, (figure, _) in settled.items()}, draws, inexact, large, len(passes)
    )


def _all_settled(passes: Sequence[dict[str, Count]]) -> bool:
    return bool(passes) and all(_settled([one[name] for one in passes])[1] for name in passes[-1])


def _settled(figures: Sequence[Count]) -> tuple[Count, bool]:
    """The figure that came most often, and whether it came more than once.

    A figure with full-page images in it is the checkpoint's, not the statement's, even when it
    comes twice.
    """
    clean = [figure for figure in figures if not figure.full_pages]
    figure, times = Counter(clean or figures).most_common(1)[0]
    return figure, times > 1 and bool(clean)


def _touched(
    target: Target, scenarios: Sequence[Scenario], seed: int, timeout_s: int
) -> dict[str, int]:
    """Tables that the scenarios write to, quoted, and their oids. Found by playing each scenario
    once.

    In a copy of its own: it plays with random values, and a leaf page that splits stays split.
    """
    tables: dict[str, int] = {}
    with replay.copied(target) as copy, replay.opened(copy, timeout_s, **SESSION) as connection:
        for scenario in scenarios:
            tables |= replay.tried(connection, scenario, seed)
    return tables


def _pins(connection: Connection, tables: Iterable[int]) -> tuple[sql.Composed, ...]:
    """Statements that pin the defaults which draw a random uuid."""
    alter = sql.SQL("ALTER TABLE {}.{} ALTER COLUMN {} SET DEFAULT {}")
    return tuple(
        alter.format(
            *(sql.Identifier(row[part]) for part in ("schema", "table", "column")), sql.SQL(PINNED)
        )
        for row in rows(
            connection, query("performance/random_defaults"), {"tables": sorted(tables)}
        )
    )


def _pass(
    connection: Connection,
    tables: Mapping[str, int],
    scenarios: Sequence[Scenario],
    seeds: Sequence[int],
) -> dict[str, Count]:
    pins = _pins(connection, tables.values())
    # Dead rows of another transaction are pruned or not as other databases' transactions happen to
    # stand.
    vacuum = ("VACUUM (FREEZE, INDEX_CLEANUP ON) " + ", ".join(sorted(tables))).encode()
    counts: dict[str, Count] = {}
    for scenario in scenarios:
        for seed in seeds:
            if tables:
                connection.execute(vacuum)
            for name, figure in _counted_play(connection, pins, scenario, seed).items():
                counts[name] = counts.get(name, Count()) + figure
    return counts


def _counted_play(
    connection: Connection, pins: Sequence[sql.Composed], scenario: Scenario, seed: int
) -> dict[str, Count]:
    counts: dict[str, Count] = {}
    prepared: dict[str, str] = {}

    def execute(bound: Bound) -> Row | None:
        if bound.statement.kind == "setting":
            return replay.run(connection, bound)
        pinned = Bound(bound.statement, RANDOM.sub(PINNED, bound.text))
        plan = _plan(connection, pinned)
        figure, row = _explained(connection, _prepared(connection, pinned, prepared))
        counts[bound.statement.name] = replace(
            figure, plans=(plan,), each=((figure.blocks, figure.wal_bytes),)
        )
        return row

    with replay.rolled_back(connection):
        for pin in pins:
            connection.execute(pin)
        connection.execute(query("performance/counted").encode())
        for _ in ("for nothing", "for the count"):
            connection.execute("SAVEPOINT again")
            connection.execute("SELECT set_config('mantis_runbook.drawn', '0', true)")
            replay.play(connection, scenario, seed, execute)
            connection.execute("ROLLBACK TO SAVEPOINT again")
    for name in prepared.values():
        connection.execute(sql.SQL("DEALLOCATE {}").format(sql.Identifier(name)))
    return counts


def _prepared(connection: Connection, bound: Bound, prepared: dict[str, str]) -> Bound:
    """The execution of the statement prepared: what is planned when it is played for nothing is not
    planned again.

    Without parameters a prepared statement keeps its first plan, made for these very values.
    """
    if bound.statement.kind == "commit":
        return bound
    if bound.text not in prepared:
        prepared[bound.text] = f"counted_{len(prepared)}"
        replay.run(
            connection, Bound(bound.statement, f"PREPARE {prepared[bound.text]} AS {bound.text}")
        )
    return Bound(bound.statement, f"EXECUTE {prepared[bound.text]}")


def _explained(connection: Connection, bound: Bound) -> tuple[Count, Row | None]:
    keep = bound.statement.gset is not None
    outer = sql.SQL(
        "EXPLAIN (ANALYZE, BUFFERS, WAL, TIMING OFF, SUMMARY OFF, FORMAT JSON) SELECT"
        " pg_temp.counted({}, {})"
    )
    text = outer.format(sql.Literal(bound.text), sql.Literal(keep)).as_string(connection)
    node = _explain(connection, Bound(bound.statement, text))
    figure = Count(
        sum(
            node[f"{kind} Blocks"]
            for kind in ("Shared Hit", "Shared Read", "Temp Read", "Temp Written")
        ),
        node["WAL Records"],
        node["WAL Bytes"],
        full_pages=node["WAL FPI"],
    )
    if not keep:
        return figure, None
    return figure, json.loads(scalar(connection, "SELECT current_setting('mantis_runbook.row')"))


def _plan(connection: Connection, bound: Bound) -> str:
    if bound.statement.kind == "commit":
        return ""
    text = f"EXPLAIN (COSTS OFF, FORMAT JSON) {bound.text}"
    return "\n".join(_shape(_explain(connection, Bound(bound.statement, text)), 0))


def _explain(connection: Connection, bound: Bound) -> dict[str, Any]:
    """The root node of what a statement that begins with EXPLAIN gives."""
    plan: dict[str, Any] = replay.run_rows(connection, bound)[0][0][0]["Plan"]
    return plan


def _shape(node: dict[str, Any], depth: int) -> Iterator[str]:
    index = f" by {node['Index Name']}" if "Index Name" in node else ""
    relation = f" on {node['Relation Name']}" if "Relation Name" in node else ""
    yield f"{'  ' * depth}{node['Node Type']}{relation}{index}"
    for child in node.get("Plans", ()):
        yield from _shape(child, depth + 1)


def scanned(plans: Sequence[str]) -> frozenset[str]:
    """Relations that these plans read from end to end."""
    return frozenset(name for plan in plans for name in SEQ_SCAN.findall(plan))


def read(plans: Sequence[str]) -> frozenset[str]:
    """Relations that these plans read at all."""
    return frozenset(name for plan in plans for name in RELATION.findall(plan))
