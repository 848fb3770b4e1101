"""What a dump does not hold of its database: encoding, locale, settings and rights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import psycopg
from psycopg import sql

from mantis_runbook.postgres.connection import Connection, message_of, query, rows
from mantis_runbook.runs.stored import loaded

__all__ = ["Likeness", "Setting", "dress", "read", "shape"]

#: How CREATE DATABASE names a provider of locales (`datlocprovider`).
PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}

#: What may be granted on a database. CONNECT is not: nobody but us has business in a copy.
GRANTED = ("CREATE", "TEMPORARY")

#: Settings that are lists of names, which are stored as one text: `"$user", public`.
LISTS = ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
MEMBER = re.compile(r'"(?:[^"]|"")*"|[^,\s]+')


@dataclass(frozen=True, order=True)
class Setting:
    """A setting of the database, or of a role in it (`role` is empty for the database's own)."""

    role: str
    name: str
    value: str

    def __str__(self) -> str:
        # A setting with a dot in its name is an application's own, and may be a secret.
        shown = "…" if "." in self.name else self.value
        return f"{self.name} = {shown}" + (f" of role {self.role}" if self.role else "")


@dataclass(frozen=True)
class Likeness:
    """As `read` found it.

    `rights` are (role, privilege, with grant option), the role empty for PUBLIC; the owner's are
    not among them, for the copy has an owner of its own.
    """

    encoding: str = "UTF8"
    provider: str = ""
    collate: str = ""
    ctype: str = ""
    locale: str = ""
    rules: str = ""
    settings: tuple[Setting, ...] = ()
    rights: tuple[tuple[str, str, bool], ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Likeness:
        return loaded(cls, json.loads(text))


def read(connection: Connection) -> Likeness:
    """Of the database that this connection is in."""
    (shape,) = rows(connection, query("likeness/shape"))
    settings = (Setting(*row) for row in connection.execute(query("likeness/settings")).fetchall())
    rights = connection.execute(query("likeness/rights")).fetchall()
    return Likeness(
        **shape, settings=tuple(sorted(settings)), rights=tuple(sorted(map(tuple, rights)))
    )


def shape(connection: Connection, like: Likeness | None) -> sql.Composable:
    """The options of CREATE DATABASE for the same encoding and locale; None: the server's own."""
    options = _options(connection, like) if like and like.provider else ()
    return sql.SQL(" ").join(options)


def _options(connection: Connection, like: Likeness) -> Iterable[sql.Composable]:
    yield sql.SQL("ENCODING {}").format(like.encoding)
    if connection.info.server_version >= 150_000:
        yield sql.SQL("LOCALE_PROVIDER ") + sql.SQL(PROVIDERS[like.provider])
    yield sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(like.collate, like.ctype)
    if like.provider == "i":
        yield sql.SQL("ICU_LOCALE {}").format(like.locale)
        if like.rules:
            yield sql.SQL("ICU_RULES {}").format(like.rules)
    if like.provider == "b":
        yield sql.SQL("BUILTIN_LOCALE {}").format(like.locale)


def dress(connection: Connection, like: Likeness) -> tuple[str, ...]:
    """Give the database that this connection is in the settings and rights of the other one, after
    its content is there.

    Sessions of ours pin what would change their work, so every setting is taken over as it is. What
    this server, or our role, does not take is returned, in words: the setting or right, and why.
    CONNECT is given to nobody.
    """
    here = sql.Identifier(connection.info.dbname)
    statements = [(str(one), _setting(here, one)) for one in like.settings]
    statements += [
        (
            f"{privilege} for {role or 'PUBLIC'}",
            _right(here, role, privilege, with_option=may_grant),
        )
        for role, privilege, may_grant in like.rights
        if privilege in GRANTED
    ]
    if like.provider and not any(
        role == "" and privilege == "TEMPORARY" for role, privilege, _ in like.rights
    ):
        revoked = sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(here)
        statements.append(("no TEMPORARY for PUBLIC", revoked))
    return tuple(
        f"{what} ({problem})"
        for what, statement in statements
        if (problem := _refusal(connection, statement))
    )


def _setting(here: sql.Identifier, setting: Setting) -> sql.Composed:
    values = _listed(setting.value) if setting.name in LISTS else [setting.value]
    whose = (
        sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(setting.role), here)
        if setting.role
        else None
    )
    return sql.SQL("ALTER {} SET {} = {}").format(
        whose or sql.SQL("DATABASE {}").format(here),
        sql.Identifier(*setting.name.split(".")),
        sql.SQL(", ").join(map(sql.Literal, values)),
    )


def _listed(value: str) -> list[str]:
    """The members of a list of names, as the server writes it."""
    return [
        word[1:-1].replace('""', '"') if word[0] == '"' else word for word in MEMBER.findall(value)
    ] or [""]


def _right(here: sql.Identifier, role: str, privilege: str, *, with_option: bool) -> sql.Composed:
    grantee = sql.Identifier(role) if role else sql.SQL("PUBLIC")
    option = sql.SQL(" WITH GRANT OPTION" if with_option else "")
    return sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
        sql.SQL(privilege), here, grantee, option
    )


def _refusal(connection: Connection, statement: sql.Composed) -> str:
    """What the server says against it; empty when it was done."""
    try:
        connection.execute(statement)
    except psycopg.DatabaseError as error:
        if connection.broken:
            raise
        return message_of(error)
    return ""
