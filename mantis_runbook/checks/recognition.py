"""Which state of the application this is: the baseline, half migrated by hand, or a later one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mantis_runbook import application
from mantis_runbook.application import Application, Recognition
from mantis_runbook.checks import named_checks
from mantis_runbook.checks.planned_ahead import planned_ahead
from mantis_runbook.display import many
from mantis_runbook.errors import PrecheckFailed
from mantis_runbook.postgres.connection import Connection, query, rows

__all__ = ["Recognised", "recognise", "require_baseline"]

#: Objects that a sentence names before it counts the others; the table below the sentence has them
#: all.
NAMED = 6

#: The checks that name each object in the way, by what the database is.
DETAILS = {
    "half applied": ("leftover_tables", "leftover_enums", "leftover_indexes", "leftover_functions"),
    "later": ("leftover_tables", "leftover_enums"),
}

Kind = Literal["baseline", "half applied", "later", "another"]


@dataclass(frozen=True)
class Recognised:
    """What the database is, in one sentence, and the way out. Neither is needed where it is the
    baseline.
    """

    kind: Kind
    sentence: str = ""
    action: str = ""
    objects: tuple[Mapping[str, str], ...] = ()
    details: tuple[str, ...] = ()


def require_baseline(connection: Connection, phase: str) -> None:
    """Raise `PrecheckFailed`, its first sentence telling what the database is, unless the
    migrations ahead fit it.
    """
    recognised = recognise(connection, phase)
    if recognised.kind == "baseline":
        return
    details = (
        named_checks.run(connection, phase, recognised.details).sentences_of_failed
        if recognised.details
        else ()
    )
    raise PrecheckFailed(
        recognised.sentence,
        found="\n" + "\n".join(details) if details else "",
        action=recognised.action,
    )


def recognise(connection: Connection, phase: str) -> Recognised:
    """Hold the catalogue beside what the migrations ahead of that phase make. Reads only.

    An application that does not declare by which tables it is known is taken for what the target
    says it is.
    """
    known = application.load()
    if (signs := known.recognition) is None:
        return Recognised("baseline")
    with connection.transaction():
        connection.execute(
            "SELECT set_config('mantis_runbook.planned', %s, true),"
            " set_config('mantis_runbook.application', %s, true)",
            (planned_ahead(connection, phase), known.model_dump_json()),
        )
        seen = rows(connection, query("recognition/schema"))[0]
    if seen["of_baseline"] < signs.fewest:
        return _another(known.name, signs, seen)
    there = [*seen["tables_there"], *seen["types_there"], *seen["columns_there"]]
    if not there:
        return Recognised("baseline")
    objects = tuple(
        {
            "object": f"{kind} {name}",
            "row-level security": "off" if name in seen["without_rls"] else "",
        }
        for kind, names in (
            ("table", "tables_there"),
            ("type", "types_there"),
            ("column", "columns_there"),
        )
        for name in seen[names]
    )
    return (
        _later(known, signs, seen, objects)
        if seen["tables"] >= signs.later
        else _half_applied(seen, objects)
    )


def _another(name: str, signs: Recognition, seen: Mapping[str, Any]) -> Recognised:
    return Recognised(
        "another",
        f"this is no database of {name}: {seen['of_baseline']} of its {len(signs.tables)} tables"
        " are in the schema public",
        "check that the target names the right database; nothing of this runbook fits another one",
        details=(signs.check,) if signs.check else (),
    )


def _later(
    known: Application,
    signs: Recognition,
    seen: Mapping[str, Any],
    objects: tuple[Mapping[str, str], ...],
) -> Recognised:
    own = f"; {_named(seen['types_other'])} with labels of their own" if seen["types_other"] else ""
    return Recognised(
        "later",
        f"this is a later {known.name}: {seen['tables']} tables in public, among them"
        f" {_named(seen['tables_there'])} that this runbook would make{own}",
        f"nothing is to be migrated here: this runbook brings the {known.name} of"
        f" {len(signs.tables)} tables to its enhanced schema, and this database has gone on by the"
        " product's own migrations; keep to those",
        objects,
        DETAILS["later"],
    )


def _half_applied(seen: Mapping[str, Any], objects: tuple[Mapping[str, str], ...]) -> Recognised:
    parts = [
        (
            f"{many(len(seen['tables_there']), 'table')} ({_named(seen['tables_there'])})"
            if seen["tables_there"]
            else ""
        ),
        (
            f"{many(len(seen['types_there']), 'type')} ({_named(seen['types_there'])})"
            if seen["types_there"]
            else ""
        ),
        (
            f"{many(len(seen['columns_there']), 'column')} ({_named(seen['columns_there'])})"
            if seen["columns_there"]
            else ""
        ),
    ]
    open_ = (
        f"; {_named(seen['without_rls'])} without row-level security" if seen["without_rls"] else ""
    )
    return Recognised(
        "half applied",
        "the enhanced schema is half applied here, and not by this runbook: "
        + ", ".join(part for part in parts if part)
        + open_,
        "make way for the migrations: DROP what holds no rows, RENAME what does (ALTER TABLE …"
        " RENAME TO …_before, ALTER TYPE … RENAME TO …_before, ALTER TABLE … RENAME COLUMN), run"
        " the phases, and copy the rows over",
        objects,
        DETAILS["half applied"],
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
