"""What a restored copy may lack: parts of a dump that no other database can hold."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import psycopg

from mantis_runbook.backup.comparison import Comparison
from mantis_runbook.errors import BackupNotProven
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.catalog import Catalog, Change, Difference
from mantis_runbook.postgres.connection import Connection, message_of, query, rows, scalar

__all__ = [
    "Entry",
    "LeftOut",
    "as_restored",
    "content_as_restored",
    "entries",
    "has_tablespaces",
    "kept_list",
    "left_out",
    "members",
    "refused",
]

#: `215; 1259 16385 TABLE public reader mantis`, and behind it in a verbose listing `;     depends
#: on: 3 200`.
ENTRY = re.compile(r"^(?P<number>\d+); \d+ \d+ (?P<text>.*)$")
DEPENDS = re.compile(r"^;\s+depends on:(?P<numbers>[ \d]+)$")

#: What holds rows: without it the copy is no proof of the backup.
ROWS = re.compile(
    r"^(?:TABLE|TABLE DATA|MATERIALIZED VIEW|MATERIALIZED VIEW DATA|BLOBS?|BLOB METADATA) "
)

#: What pg_dump writes for a member of an extension, which itself is not dumped.
OF_A_MEMBER = re.compile(
    r"^(?:TABLE DATA|SEQUENCE SET|ACL|POLICY|ROW SECURITY|SECURITY LABEL|COMMENT) (?P<schema>\S+) "
    r"(?:(?:TABLE|VIEW|MATERIALIZED VIEW|SEQUENCE|FUNCTION|PROCEDURE|AGGREGATE|TYPE|SCHEMA|COLUMN)"
    r" )?(?P<name>[^\s(.]+)"
)
VERSION = re.compile(r"^version (?P<version>\S+) in ")


@dataclass(frozen=True)
class Entry:
    """A line of the dump's table of contents, and the numbers of the entries that it depends on."""

    number: int
    text: str
    depends: tuple[int, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """An extension that the copy's database cannot hold, why not, and what went with it."""

    extension: str
    why: str
    numbers: frozenset[int]
    texts: tuple[str, ...]
    names: frozenset[str]

    @property
    def note(self) -> str:
        return (
            f"extension {self.extension} is left out of the copy, with {len(self.texts)} entries of"
            f" the dump: {self.why}; neither its own tables nor its objects are proven"
        )


def entries(listing: str) -> tuple[Entry, ...]:
    """The table of contents, from `pg_restore --list --verbose`."""
    read = list[Entry]()
    for line in listing.splitlines():
        if match := ENTRY.match(line):
            read.append(Entry(int(match["number"]), match["text"]))
        elif read and (match := DEPENDS.match(line)):
            read[-1] = replace(
                read[-1], depends=tuple(int(number) for number in match["numbers"].split())
            )
    return tuple(read)


def members(connection: Connection) -> dict[str, list[str]]:
    """What belongs to each extension, as `schema.name`: pg_dump tells rights and rows of members,
    not whose they are.
    """
    return {
        row["extension"]: row["members"]
        for row in rows(connection, query("catalog/extension_members"))
    }


def refused(connection: Connection, extensions: Mapping[str, str]) -> dict[str, str]:
    """Which extensions cannot be created in the (empty) copy, with the server's reason.

    Each is tried and taken back.

    `extensions` as in a catalogue: `version 1.8 in schema public`.
    """
    reasons = {}
    for name, definition in extensions.items():
        schema = definition.partition(" in schema ")[2]
        try:
            with connection.transaction(force_rollback=True):
                if not schema.startswith("pg_"):
                    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
                connection.execute(
                    f"CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {schema} CASCADE".encode()
                )
        except psycopg.Error as error:
            reasons[name] = message_of(error)
    return reasons


def has_tablespaces(connection: Connection, original: Catalog) -> bool:
    """Whether this server has every tablespace that the original's tables and indexes lie in."""
    wanted = {
        definition.removeprefix("tablespace ") for definition in original["tablespaces"].values()
    }
    return wanted <= set(
        scalar(connection, "SELECT array_agg(quote_ident(spcname)) FROM pg_tablespace")
    )


def left_out(
    contents: Sequence[Entry],
    reasons: Mapping[str, str],
    of_extension: Mapping[str, Collection[str]],
) -> tuple[LeftOut, ...]:
    """What goes with each extension that cannot be there. Pure.

    Raises `BackupNotProven` where a table of the users' depends on one: without it the copy proves
    nothing.
    """
    return tuple(
        _left_out(contents, name, why, frozenset(of_extension.get(name, ())))
        for name, why in reasons.items()
    )


def _left_out(contents: Sequence[Entry], name: str, why: str, names: frozenset[str]) -> LeftOut:
    gone = {
        entry.number
        for entry in contents
        if entry.text.startswith((f"EXTENSION - {name} ", f"COMMENT - EXTENSION {name} "))
    }
    gone |= {entry.number for entry in contents if _of_member(entry.text) in names}
    own = frozenset(gone)
    while more := {
        entry.number
        for entry in contents
        if entry.number not in gone and gone.intersection(entry.depends)
    }:
        gone |= more
    if with_rows := [
        entry.text for entry in contents if entry.number in gone - own and ROWS.match(entry.text)
    ]:
        raise BackupNotProven(
            f"the backup needs extension {name}, which the copy's database cannot hold ({why})",
            found=f"entries with rows depend on it: {', '.join(with_rows[:5])}",
            expected=(
                "an extension that only its own objects depend on, or a server that can create it"
            ),
            action=(
                "name another server with the parameter `scratch`, where the extension can be"
                " created"
            ),
        )
    lines = [entry for entry in contents if entry.number in gone]
    dependent = (_qualified(entry.text) for entry in lines if entry.number not in own)
    return LeftOut(
        name,
        why,
        frozenset(gone),
        tuple(entry.text for entry in lines),
        names | frozenset(filter(None, dependent)),
    )


def _of_member(text: str) -> str:
    match = OF_A_MEMBER.match(text)
    if match is None:
        return ""
    return match["name"] if match["schema"] == "-" else f"{match['schema']}.{match['name']}"


def _qualified(text: str) -> str:
    """`public.jobs` of `VIEW public jobs mantis`."""
    match = re.match(r"^[A-Z ]+ (?P<schema>[^\sA-Z]\S*) (?P<name>[^\s(]+)", text)
    return f"{match['schema']}.{match['name']}" if match else ""


def kept_list(contents: Iterable[Entry], left: Iterable[LeftOut]) -> str:
    """The list for `pg_restore --use-list`."""
    gone = frozenset(chain.from_iterable(one.numbers for one in left))
    return "".join(f"{one.number}; 0 0 {one.text}\n" for one in contents if one.number not in gone)


# -- reading the comparison ------------------------------------------------------------------------


def content_as_restored(content: Comparison, left: Sequence[LeftOut]) -> Comparison:
    """The comparison without tables that the copy cannot have."""
    names = frozenset(chain.from_iterable(one.names for one in left))
    kept = tuple(one for one in content.verdicts if not (one.after is None and one.table in names))
    return replace(content, verdicts=kept)


def as_restored(
    before: Catalog, after: Catalog, left: Sequence[LeftOut], *, without_tablespaces: bool = False
) -> tuple[Difference, tuple[str, ...]]:
    """How a restored copy differs, less what no dump brings into another database; that is told, a
    sentence each.
    """
    difference = catalog.diff(before, after)
    notes = {
        change: _why(change, left, without_tablespaces=without_tablespaces)
        for change in difference.changes
    }
    changes = tuple(change for change, note in notes.items() if not note)
    return replace(difference, changes=changes), tuple(
        dict.fromkeys(note for note in notes.values() if note)
    )


def _why(change: Change, left: Sequence[LeftOut], *, without_tablespaces: bool) -> str:
    """Why this difference is none of the dump's; empty where it is one."""
    for extension in left:
        if change.after is None and _concerns(change, extension):
            return extension.note
    if change.kind == "extensions" and change.before and change.after:
        return _other_version(change)
    if change.kind == "other_comments" and change.name.startswith("extension "):
        return f"{change.name}: the comment is another, it came with the extension"
    if change.kind == "tablespaces" and without_tablespaces:
        return (
            "tablespaces of the original are not on this server: everything lies in the copy's own"
        )
    if change.kind == "subscriptions" or change.name.startswith("subscription "):
        return (
            f"subscription {change.name.removeprefix('subscription ')}: a copy has none"
            if change.after is None
            else ""
        )
    if change.kind == "database":
        return (
            f"the copy's {change.name} is {change.after or 'not set'}, the database's"
            f" {change.before or 'not set'}"
        )
    return ""


def _concerns(change: Change, extension: LeftOut) -> bool:
    if change.name in (extension.extension, f"extension {extension.extension}"):
        return True
    if (
        f"extension {extension.extension}" in (change.before or "")
        and change.kind == "extension_dependencies"
    ):
        return True
    return any(
        re.search(rf"(?<![\w.\"]){re.escape(name)}(?![\w\"])", change.name)
        for name in extension.names
    )


def _other_version(change: Change) -> str:
    was, now = (VERSION.match(text or "") for text in (change.before, change.after))
    if (
        was is None
        or now is None
        or VERSION.sub("", change.before or "") != VERSION.sub("", change.after or "")
    ):
        return ""
    return (
        f"extension {change.name} is of version {was['version']} in the database and"
        f" {now['version']} in the copy: a dump names no version, the server restores its default"
    )


def members_from_json(text: str) -> dict[str, list[str]]:
    """What `members` found, as a backup keeps it."""
    plain = json.loads(text)
    return {str(name): [str(member) for member in members] for name, members in plain.items()}
