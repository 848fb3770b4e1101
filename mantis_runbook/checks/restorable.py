"""What the scratch server cannot restore of a database, found before it is tried."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from mantis_runbook.backup import likeness
from mantis_runbook.backup.likeness import Likeness, Setting
from mantis_runbook.checks.check_files import Check
from mantis_runbook.checks.named_checks import KEPT, Finding, Result
from mantis_runbook.postgres.connection import Connection, identity, message_of, query

__all__ = ["check", "unrestorable"]

CHECK = Check(
    name="scratch_server_restores",
    title="What the scratch server cannot restore",
    severity="fail",
    expected="a server that can hold everything that a dump of this database holds",
    action=(
        "do what each says, or name another scratch server (parameter `scratch`, or --scratch): the"
        " target's own major version with the same packages can restore it"
    ),
)

#: By kind: how it is said that the server lacks it, and the way out.
LACKS = {
    "lz4": ("compressed with lz4, which this server was built without", "use a server with lz4"),
    "xml": ("xml, which this server was built without", "use a server with libxml"),
    "ICU": ("a collation of ICU, which this server was built without", "use a server with ICU"),
    "collation": (
        "a collation that this server does not have",
        "make the locale there, pg_import_system_collations()",
    ),
    "locale": (
        "a locale that this server's machine does not have",
        "make it there (locale-gen), restart the server",
    ),
    "tablespace": (
        "a tablespace that this server does not have",
        "CREATE TABLESPACE of that name there, in any folder",
    ),
    "library": (
        "a library that this server does not have",
        "install it there, and restore as a superuser",
    ),
    "role": (
        "a role that this server does not have",
        (
            "make it there: globals.sql of any backup has all roles, pg_dumpall --roles-only"
            " --no-role-passwords writes them"
        ),
    ),
    "superuser": ("only a superuser can make it again", "restore as a superuser"),
}

#: Beside the target itself only these can be missing: the other things are the same server's.
BESIDE = ("superuser",)

#: How many of the objects that need a thing are named.
NAMED = 5


def check(target: Connection, scratch: Connection) -> Result:
    """The same as one more check of a phase."""
    findings = tuple(unrestorable(target, scratch))
    return Result(CHECK, "fail" if findings else "pass", findings[:KEPT], len(findings))


def unrestorable(target: Connection, scratch: Connection) -> Iterator[Finding]:
    """What the scratch server would refuse, with what needs it and what to do. Reads only, on both.

    Both may be the same server: then only its extensions and the role's rights are looked at.
    """
    wanted = target.execute(query("restorable/wants")).fetchall()
    yield from _extensions(
        scratch, {thing: version for kind, thing, version, _ in wanted if kind == "extension"}
    )
    here, there = identity(target), identity(scratch)
    beside = here.system_identifier == there.system_identifier
    if there.major < here.major:
        yield Finding(
            f"PostgreSQL {there.major}",
            1,
            f"older than the target's {here.major}: a dump restores on its own version or newer",
        )
    lacking = _lacking(scratch, {(kind, thing) for kind, thing, _, _ in wanted if kind in LACKS})
    for kind, thing in sorted(one for one in lacking if not beside or one[0] in BESIDE):
        users = sorted(
            {used_by for one_kind, one, _, used_by in wanted if (one_kind, one) == (kind, thing)}
        )
        what, action = LACKS[kind]
        name = thing if kind in ("lz4", "xml", "superuser") else f"{kind} {thing}"
        yield Finding(name, len(users), f"{what}; needed by {_some(users)}: {action}")
    if not beside:
        yield from _shape(
            scratch, likeness.read(target), has_icu=not _lacking(scratch, {("ICU", "")})
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _lacking(scratch: Connection, wanted: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    offers = {
        (kind, thing) for kind, thing in scratch.execute(query("restorable/offers")).fetchall()
    }
    tried: Mapping[str, Callable[[str], str]] = {
        "xml": lambda _: _refusal(scratch, "SELECT xmlparse(CONTENT '')"),
        "locale": lambda name: _locale_refused(scratch, name),
        "library": lambda path: _refusal(scratch, sql.SQL("LOAD {}").format(path)),
    }
    whole = ("lz4", "ICU", "superuser")  # a server has it, or not, whoever needs it
    return {
        (kind, thing)
        for kind, thing in wanted
        if (
            tried[kind](thing)
            if kind in tried
            else (kind, "" if kind in whole else thing) not in offers
        )
    }


def _extensions(scratch: Connection, wanted: dict[str, str]) -> Iterator[Finding]:
    offered = dict(scratch.execute(query("restorable/extensions")).fetchall())
    for name, version in sorted(wanted.items()):
        if name not in offered:
            detail = "not offered by the server that restores: install its package there"
        elif _is_newer(version, offered[name]):
            detail = (
                f"version {version} here, and a restore makes {offered[name]}: install the newer"
                " package there"
            )
        else:
            continue
        yield Finding(f"extension {name}", 1, detail)


def _is_newer(version: str, other: str) -> bool:
    """Whether a version is newer than another; False where one of them is no number."""
    numbers = [re.fullmatch(r"\d+(\.\d+)*", text) for text in (version, other)]
    if not all(numbers):
        return False
    mine, theirs = ([int(part) for part in text.split(".")] for text in (version, other))
    return mine > theirs


def _shape(scratch: Connection, like: Likeness, *, has_icu: bool) -> Iterator[Finding]:
    """The database itself: its locale, and settings that this server does not know or accept."""
    if like.provider == "i" and not has_icu:
        yield Finding(
            f"locale {like.locale}",
            1,
            "the database's own, of ICU, which this server was built without:"
            " use a server with ICU",
        )
    for name in sorted({like.collate, like.ctype}):
        if _locale_refused(scratch, name):
            yield Finding(
                f"locale {name}",
                1,
                f"the database's own, {LACKS['locale'][0]}: {LACKS['locale'][1]}",
            )
    for setting in like.settings:
        if problem := _setting_refused(scratch, setting):
            yield Finding(
                str(setting.name),
                1,
                f"{setting}: not accepted by the server that restores ({problem})",
            )


def _locale_refused(connection: Connection, name: str) -> str:
    """`lc_monetary` takes the locales that the machine has, and no others: asking for one changes
    nothing.
    """
    return _refusal(connection, "SELECT set_config('lc_monetary', %s, true)", (name,))


def _setting_refused(connection: Connection, setting: Setting) -> str:
    """Why the server would not take a setting over. What only a superuser may set is not tried: the
    proof says it.
    """
    if setting.name in ("role", "session_authorization"):
        return ""
    statement = """
        SELECT set_config(%(name)s, %(value)s, true)
        FROM pg_settings
        WHERE name = %(name)s AND context = 'user'
    """
    return _refusal(connection, statement, {"name": setting.name, "value": setting.value})


def _refusal(connection: Connection, statement: str | sql.Composed, parameters: Any = None) -> str:
    """The server's words against a statement; empty when it accepts it. Nothing of it stays."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement, parameters)
    except psycopg.Error as error:
        if connection.broken:
            raise
        return message_of(error)
    return ""
