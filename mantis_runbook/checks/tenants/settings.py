"""How sessions act as tenants on this installation: read from its policies, and verified by what a
user then sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

import psycopg
from psycopg import sql

from mantis_runbook.checks.tenants.acting import Guise, own_role
from mantis_runbook.checks.tenants.acts_as import (
    STANDARD,
    ActsAs,
    Person,
    given,
    kind_of,
    settings_in,
)
from mantis_runbook.checks.tenants.attempt import reached
from mantis_runbook.checks.tenants.tables import Table
from mantis_runbook.postgres.connection import Connection, message_of, query, rows

__all__ = ["learn", "learn_here", "person"]

#: Tables that one way to act is tried on, and ways that are tried at most.
TABLES, WAYS = 3, 100

#: A call in a policy or a body, and how deep calls are followed.
CALL, DEPTH = re.compile(r'("[^"]+"|[A-Za-z_][\w$]*)\s*\('), 3

Ways = Mapping[str, str | None]


@dataclass(frozen=True)
class _Reading:
    """What the policies read: by table the settings, by setting the texts that read it, and keys of
    JSON.
    """

    by_table: Mapping[str, frozenset[str]]
    texts: Mapping[str, tuple[str, ...]]
    keys: tuple[str, ...]


def learn(
    connection: Connection, owner: str, people: Sequence[Person], tables: Sequence[Table]
) -> ActsAs:
    """Which settings a session must hold to be one of these people, each verified by a table where
    that one has rows.

    What the policies' own texts and names do not tell is tried; a setting for which nothing that
    was tried shows own rows is unknown. The operator's word (`MANTIS_RUNBOOK_ACTS_AS`) goes before
    all of it. Raises `ParameterError` for a wrong one.
    """
    reading, told = _read(connection), given()
    kinds: dict[str, str | None] = {
        **STANDARD,
        **{name: kind_of(name, texts) for name, texts in reading.texts.items()},
    }
    acts = ActsAs({**kinds, **told}, reading.keys, read=tuple(reading.texts))
    tables_by_name = {
        table.name: table for table in tables if table.owner_column and table.may_select
    }
    groups: dict[frozenset[str], list[Table]] = {}
    for name, settings in reading.by_table.items():
        if settings and name in tables_by_name:
            groups.setdefault(settings, []).append(tables_by_name[name])
    trial = _Trial(connection, owner, tuple(people))
    known, unseen = set(told), dict[frozenset[str], list[Table]]()
    for settings, chosen in sorted(groups.items(), key=lambda group: len(group[0])):
        shown = trial.with_rows(chosen)
        if not shown or not trial.sees(acts, shown):
            unseen[settings] = shown
        elif len(settings - known) == 1:  # of two, one may have been enough
            known |= settings
    for settings, shown in unseen.items():
        free = sorted(settings - known)
        way = (
            next((way for way in _ways(acts, free) if trial.sees(acts.trying(way), shown)), None)
            if shown
            else None
        )
        if way is not None:
            acts = acts.trying(way)
            known |= settings
    return replace(
        acts,
        unknown=_unknown(reading, acts, known, {name for name, found in unseen.items() if found}),
    )


def learn_here(connection: Connection) -> ActsAs:
    """The same for users of this database's two smallest organisations; the usual settings where
    there are none to ask.

    Where it cannot be learnt the usual settings are taken as well, and `doubt` says why.
    """
    try:
        with connection.transaction():
            tenants = rows(connection, query("tenants/two_tenants"))
            people = [person(connection, row["user_id"], row["org_id"]) for row in tenants]
            tables = [Table(**row) for row in rows(connection, query("tenants/tables"))]
            return learn(connection, own_role(connection), people, tables) if people else ActsAs()
    except psycopg.Error as error:
        return ActsAs(doubt=message_of(error))


def person(connection: Connection, user: str, org: str) -> Person:
    """What is known of a user: the role in the application, and the address, where the platform has
    one.
    """
    found = (
        rows(connection, query("tenants/person"), {"user": user}) or [{"role": "", "email": ""}]
    )[0]
    return Person(user, org, found["email"] or _email(connection, user), found["role"])


def _email(connection: Connection, user: str) -> str:
    for table in ("users", "users_extended"):
        try:
            with connection.transaction():
                found = connection.execute(
                    sql.SQL("SELECT email FROM auth.{} WHERE id::text = %s").format(
                        sql.Identifier(table)
                    ),
                    (user,),
                ).fetchone()
        except psycopg.errors.Error:
            continue
        if found and found[0]:
            return str(found[0])
    return ""


def _read(connection: Connection) -> _Reading:
    bodies: dict[str, tuple[str, ...]] = {}
    for row in rows(connection, query("tenants/policy_functions")):
        bodies[row["name"]] = (*bodies.get(row["name"], ()), row["text"])
    by_table: dict[str, frozenset[str]] = {}
    texts: dict[str, dict[str, None]] = {}
    keys: dict[str, None] = {}
    for row in rows(connection, query("tenants/policy_sources")):
        for text in _with_what_it_calls(row["text"], bodies):
            names, looked_for = settings_in(text)
            keys |= dict.fromkeys(looked_for)
            for name in names:
                texts.setdefault(name, {})[text] = None
            if row["schema_name"] == "public":
                by_table[row["table_name"]] = by_table.get(
                    row["table_name"], frozenset()
                ) | frozenset(names)
    return _Reading(by_table, {name: tuple(read) for name, read in texts.items()}, tuple(keys))


def _with_what_it_calls(text: str, bodies: Mapping[str, tuple[str, ...]]) -> dict[str, None]:
    """A policy's expression, and the bodies of the functions that it calls, and that those call."""
    found, ahead = {text: None}, [(text, 0)]
    while ahead:
        caller, depth = ahead.pop()
        for name in CALL.findall(caller) if depth < DEPTH else ():
            for body in bodies.get(name.strip('"'), ()):
                if body not in found:
                    found[body] = None
                    ahead.append((body, depth + 1))
    return found


def _ways(acts: ActsAs, free: Sequence[str]) -> Iterator[Ways]:
    """Other ways to fill these settings, the likely ones first; what is JSON stays that."""
    if not free:
        return
    choices = [
        (
            ("claims",)
            if acts.kinds.get(name) == "claims"
            else ("user", "org", None, "email", "role", "database_role")
        )
        for name in free
    ]
    yield from islice((dict(zip(free, kinds, strict=True)) for kinds in product(*choices)), WAYS)


def _unknown(
    reading: _Reading, acts: ActsAs, known: set[str], tried: set[frozenset[str]]
) -> dict[str, tuple[str, ...]]:
    """Settings that showed nothing where they were tried, or that could not be tried and whose
    names say nothing.
    """
    lost = {name for settings in tried for name in settings - known}
    lost |= {name for name in reading.texts if name not in known and acts.kinds.get(name) is None}
    # One that is read beside settings that are known is an exception to them, such as a switch:
    # left unset it decides nothing.
    decides = {
        name
        for name in lost
        if any(name in read and not (read & known) for read in reading.by_table.values())
    }
    return {
        name: tuple(sorted(table for table, read in reading.by_table.items() if name in read))
        for name in sorted(decides)
    }


@dataclass(frozen=True)
class _Trial:
    """Tries whether people see rows of their own organisation."""

    connection: Connection
    owner: str
    people: tuple[Person, ...]

    def with_rows(self, tables: Sequence[Table]) -> list[Table]:
        """Some of the tables in which each of the people's organisations has a row."""
        everybody = Guise()
        return list(
            islice(
                (
                    table
                    for table in tables
                    if all(self._has(self.owner, everybody, table, one) for one in self.people)
                ),
                TABLES,
            )
        )

    def sees(self, acts: ActsAs, tables: Sequence[Table]) -> bool:
        """Whether each of the people, acting so, sees a row of the own organisation in each
        table.
        """
        return all(
            self._has("authenticated", Guise(acts.values(person)), table, person)
            for table in tables
            for person in self.people
        )

    def _has(self, role: str, guise: Guise, table: Table, person: Person) -> bool:
        condition = sql.SQL("r.{} = {}").format(
            sql.Identifier(table.owner_column or "org_id"), person.org
        )
        statement = sql.SQL(
            "SELECT count(*) FROM (SELECT FROM {} AS r WHERE {} LIMIT 1) AS first"
        ).format(table.relation, condition)
        return reached(self.connection, role, guise, statement) == "1"
