"""Which MantisNXT this is, told before anything else is looked at: the baseline, one half enhanced by hand, or a later one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mantis_runbook import checks
from mantis_runbook.database import Connection, query, rows
from mantis_runbook.display import many
from mantis_runbook.errors import PrecheckFailed
from mantis_runbook.planned_ahead import planned_ahead

__all__ = ["Recognised", "recognise", "require_baseline"]

#: Tables of the baseline, and how many of them make a MantisNXT. What lacks more is another application's database.
BASELINE, FEWEST = 28, 14

#: Tables in public from which on the product itself has gone on: the baseline and all that the migrations make are fewer.
LATER = 75

#: Objects that a sentence names before it counts the others; the table below the sentence has them all.
NAMED = 6

#: The checks that name each object in the way, or each that is missing, by what the database is.
DETAILS = {
    "half applied": ("leftover_tables", "leftover_enums", "leftover_indexes", "leftover_functions"),
    "later": ("leftover_tables", "leftover_enums"),
    "another": ("is_mantisnxt",),
}

Kind = Literal["baseline", "half applied", "later", "another"]


@dataclass(frozen=True)
class Recognised:
    """What the database is, in one sentence, and the way out. Neither is needed where it is the baseline."""

    kind: Kind
    sentence: str = ""
    action: str = ""
    objects: tuple[Mapping[str, str], ...] = ()


def require_baseline(connection: Connection, phase: str) -> None:
    """Raise `PrecheckFailed`, its first sentence telling what the database is, unless the migrations ahead fit it."""
    recognised = recognise(connection, phase)
    if recognised.kind == "baseline":
        return
    details = checks.run(connection, phase, DETAILS[recognised.kind])
    raise PrecheckFailed(
        recognised.sentence, found="\n" + "\n".join(details.sentences_of_failed), action=recognised.action
    )


def recognise(connection: Connection, phase: str) -> Recognised:
    """Hold the catalogue beside what the migrations ahead of that phase make. Reads only."""
    with connection.transaction():
        connection.execute("SELECT set_config('mantis_runbook.planned', %s, true)", (planned_ahead(connection, phase),))
        seen = rows(connection, query("recognition/schema"))[0]
    if seen["of_baseline"] < FEWEST:
        return _another(seen)
    there = [*seen["tables_there"], *seen["types_there"], *seen["columns_there"]]
    if not there:
        return Recognised("baseline")
    objects = tuple(
        {"object": f"{kind} {name}", "row-level security": "off" if name in seen["without_rls"] else ""}
        for kind, names in (("table", "tables_there"), ("type", "types_there"), ("column", "columns_there"))
        for name in seen[names]
    )
    return (_later if seen["tables"] >= LATER else _half_applied)(seen, objects)


def _another(seen: Mapping[str, Any]) -> Recognised:
    return Recognised(
        "another",
        f"this is no database of MantisNXT: {seen['of_baseline']} of its {BASELINE} tables are in the schema public",
        "check that the target names the right database; nothing of this runbook fits another one",
    )


def _later(seen: Mapping[str, Any], objects: tuple[Mapping[str, str], ...]) -> Recognised:
    own = f"; {_named(seen['types_other'])} with labels of their own" if seen["types_other"] else ""
    return Recognised(
        "later",
        f"this is a later MantisNXT: {seen['tables']} tables in public, among them {_named(seen['tables_there'])}"
        f" that this runbook would make{own}",
        "nothing is to be migrated here: this runbook brings the MantisNXT of 28 tables to its enhanced schema, and this"
        " database has gone on by the product's own migrations; keep to those",
        objects,
    )


def _half_applied(seen: Mapping[str, Any], objects: tuple[Mapping[str, str], ...]) -> Recognised:
    parts = [
        f"{many(len(seen['tables_there']), 'table')} ({_named(seen['tables_there'])})" if seen["tables_there"] else "",
        f"{many(len(seen['types_there']), 'type')} ({_named(seen['types_there'])})" if seen["types_there"] else "",
        f"{many(len(seen['columns_there']), 'column')} ({_named(seen['columns_there'])})"
        if seen["columns_there"]
        else "",
    ]
    open_ = f"; {_named(seen['without_rls'])} without row-level security" if seen["without_rls"] else ""
    return Recognised(
        "half applied",
        "the enhanced schema is half applied here, and not by this runbook: "
        + ", ".join(part for part in parts if part)
        + open_,
        "make way for the migrations: DROP what holds no rows, RENAME what does (ALTER TABLE lead RENAME TO lead_before,"
        " ALTER TYPE lead_status RENAME TO lead_status_before, ALTER TABLE … RENAME COLUMN), run the phases, and copy the"
        " rows over",
        objects,
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
