"""Learnt statements as pgbench scripts, which draw the parameters from the data when played."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import postgast
import psycopg
from psycopg import sql

from mantis_runbook import application
from mantis_runbook.application import Tenants
from mantis_runbook.checks.learnt_statements import MARK, LearntStatement
from mantis_runbook.checks.tenants import acting
from mantis_runbook.checks.tenants.acts_as import ActsAs
from mantis_runbook.postgres import statements as grammar
from mantis_runbook.postgres.connection import Connection, message_of, query, rows, scalar
from mantis_runbook.rehearsal.performance import parameter_columns
from mantis_runbook.rehearsal.performance.parameter_columns import Column, Columns

__all__ = ["written"]

#: Rows of a table that a value may be drawn from, the first by its primary key: reaching one costs
#: no more than this many.
ROWS_DRAWN_FROM = 1000

#: What stands for a parameter that is compared with no column, by its type.
PLAIN = {
    "smallint": "1",
    "integer": "1",
    "bigint": "1",
    "numeric": "1",
    "real": "1",
    "double precision": "1",
    "text": "a",
    "character varying": "a",
    "boolean": "true",
    "date": "2025-07-01",
    "timestamp with time zone": "2025-07-01 00:00+00",
    "timestamp without time zone": "2025-07-01 00:00",
    "interval": "1 day",
    "json": "{}",
    "jsonb": "{}",
    "uuid": acting.NOBODY,
}

#: Rows that a page of the application shows.
PAGE = "20"

#: A user of the drawn rows' organisation, else the first one.
OWN_USER = """
SELECT set_config('drawn.user', coalesce(
    (SELECT id FROM {users} WHERE {column} = nullif(current_setting('drawn.org'), '')::{type}
     ORDER BY id LIMIT 1)::text,
    (SELECT id FROM {users} ORDER BY id LIMIT 1)::text,
    ''
), false);""".strip()
ANY_USER = (
    "SELECT set_config('drawn.user', coalesce((SELECT id FROM {users} ORDER BY id LIMIT 1)::text,"
    " ''), false);"
)

#: The organisation whose rows are drawn, else that of the drawn user; and both as a token's claims.
OWN_ORG = (
    "coalesce(nullif(current_setting('drawn.org', true), ''),"
    " (SELECT {column}::text FROM {users} WHERE id::text = current_setting('drawn.user')), '')"
)
CLAIMS = (
    "json_build_object('sub', current_setting('drawn.user'), '{column}', "
    + OWN_ORG
    + ", 'role', 'authenticated')::text"
)

#: Where nobody belongs to anybody: no table of that name is ever there.
NO_TENANTS = Tenants(table="", users="")

TEXTS = ("text", "character varying", "character")


def written(
    connection: Connection,
    learnt: Sequence[LearntStatement],
    folder: Path,
    acts: ActsAs,
    *,
    only_reads: bool,
) -> tuple[tuple[Path, ...], dict[str, str]]:
    """Write a script for each statement that can be prepared; paths, and why others are left out.

    Nothing of the data stands in the scripts. Each takes the role that the statement ran as where
    this session may, acts as a user of the organisation whose rows it draws, and rolls back what it
    did; with `only_reads` its transaction cannot write, whatever its functions do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths, left_out = list[Path](), dict[str, str]()
    for number, statement in enumerate(learnt, 1):
        name = f"learnt_{number:02}_{_slug(statement)}"
        try:
            text = _script(connection, statement, acts, only_reads=only_reads)
        except (psycopg.Error, LookupError) as error:
            diagnosis = message_of(error) if isinstance(error, psycopg.Error) else error.args[0]
            left_out[name] = f"cannot be played with values of ours: {diagnosis}"
            continue
        paths.append(folder / f"{name}.sql")
        paths[-1].write_text(text)
    return tuple(paths), left_out


def _slug(statement: LearntStatement) -> str:
    root = grammar.tree(statement.text)
    table = next((each.relname for each in grammar.nodes(root, "RangeVar")), "")
    return re.sub(
        r"\W+", "_", f"{statement.kind.removesuffix('Stmt').lower()}_{table}", flags=re.ASCII
    ).strip("_")


def _script(
    connection: Connection, statement: LearntStatement, acts: ActsAs, *, only_reads: bool
) -> str:
    """The script of a statement. Raises `LookupError` for a parameter without a known value."""
    root = grammar.tree(statement.text)
    types = _types(connection, statement.text)
    tables = {grammar.relation_name(each) for each in grammar.nodes(root, "RangeVar")}
    tenants = _tenants()
    columns = parameter_columns.read(
        connection, sorted({*tables, tenants.users, tenants.table} - {""})
    )
    limits = _limits(root)
    drawn = {
        number: column
        for number, column in parameter_columns.compared(root, columns)
        if number not in limits
    }
    # What a function is given is most often the organisation whose rows it looks at.
    if "id" in columns.get(tenants.table, {}):
        key = columns[tenants.table]["id"]
        drawn |= {
            n: key
            for n, type_ in enumerate(types, 1)
            if type_ == key.type == "uuid" and n not in drawn
        }
    tables |= {column.table for column in drawn.values()}
    values: dict[int, str] = {}
    for number, type_ in enumerate(types, 1):
        if (column := drawn.get(number)) and _fits(column.type, type_):
            values[number] = f"row_{sorted(tables).index(column.table)}.p{number}"
        else:
            values[number] = "'" + (limits.get(number) or _plain(type_, number)) + "'"
    body = _replaced(statement.text, types)
    role = _role(connection, statement.role)
    return "\n".join(
        [
            f"-- learnt from pg_stat_statements: query {statement.query_id},"
            f" {statement.calls:,} calls",
            f"\\set dice random(0, {ROWS_DRAWN_FROM - 1})",
            *_draws(columns, sorted(tables), drawn, values, types),
            *_user(columns),
            "BEGIN;",
            *(["SET LOCAL transaction_read_only = on;"] if only_reads else []),
            *([f"SET LOCAL ROLE {role};"] if role else []),
            *_acts(columns, acts),
            f"{body}\n{MARK};",
            "ROLLBACK;",
            "",
        ]
    )


def _types(connection: Connection, text: str) -> tuple[str, ...]:
    """The types that the server derives for its parameters."""
    try:
        connection.execute(f"PREPARE mantis_learnt AS {text}".encode())
        types = scalar(
            connection,
            "SELECT parameter_types::text[] FROM pg_prepared_statements"
            " WHERE name = 'mantis_learnt'",
        )
        return tuple(types)
    finally:
        connection.execute("DEALLOCATE ALL")


def _limits(root: Any) -> dict[int, str]:
    """Parameters that say how many rows are wanted, and how many are passed over."""
    values: dict[int, str] = {}
    for select in grammar.nodes(root, "SelectStmt"):
        values |= {one.number: PAGE for one in grammar.nodes(select.limit_count, "ParamRef")}
        values |= {one.number: "0" for one in grammar.nodes(select.limit_offset, "ParamRef")}
    return values


def _fits(column: str, parameter: str) -> bool:
    """Whether a value of the column is one of the parameter's type, or the element of its array."""
    wanted = parameter.removesuffix("[]") if not column.endswith("[]") else parameter
    return column == wanted or {column, wanted} <= set(TEXTS)


def _plain(type_: str, number: int) -> str:
    element = type_.removesuffix("[]")
    if element not in PLAIN:
        raise LookupError(f"no value is known for ${number} of type {type_}")
    return f"{{{PLAIN[element]}}}" if type_.endswith("[]") else PLAIN[element]


def _replaced(text: str, types: Sequence[str]) -> str:
    """The statement with each parameter as the setting that holds its value."""
    raw = text.encode()
    for token in reversed(list(postgast.scan(text).tokens)):
        if token.token == grammar.grammar.PARAM:
            number = int(raw[token.start + 1 : token.end])
            value = f" nullif(current_setting('drawn.p{number}'), '')::{types[number - 1]}"
            raw = raw[: token.start] + value.encode() + raw[token.end :]
    return raw.decode()


def _draws(
    columns: Columns,
    tables: Sequence[str],
    drawn: Mapping[int, Column],
    values: Mapping[int, str],
    types: Sequence[str],
) -> Iterator[str]:
    """Values that belong together come from one row; where a table is empty they are NULL."""
    used = sorted(
        {column.table for number, column in drawn.items() if values[number].startswith("row_")}
    )
    organisations = [
        f"row_{tables.index(table)}.org" for table in used if _organisation(columns[table], table)
    ]
    settings = [
        f"set_config('drawn.p{number}', coalesce({value}, ''), false)"
        for number, value in values.items()
    ]
    settings.append(
        f"set_config('drawn.org', coalesce({', '.join([*organisations, chr(39) * 2])}), false)"
    )
    rows_ = [
        _row(
            columns[table],
            tables.index(table),
            {
                number: column
                for number, column in drawn.items()
                if column.table == table and values[number].startswith("row_")
            },
            types,
        )
        for table in used
    ]
    yield (
        "SELECT "
        + ",\n       ".join(settings)
        + "\nFROM (SELECT 1) AS always"
        + "".join(f"\n{one.rstrip()}" for one in rows_)
        + ";"
    )


def _row(
    columns: Mapping[str, Column], index: int, wanted: Mapping[int, Column], types: Sequence[str]
) -> str:
    table = next(iter(columns.values())).table
    key = sorted(
        (one for one in columns.values() if one.place is not None), key=lambda one: one.place or 0
    )
    order = ", ".join(dict.fromkeys(one.quoted for one in key or wanted.values()))
    taken = [
        (
            f"(ARRAY[{column.quoted}])::text"
            if types[number - 1].endswith("[]") and not column.type.endswith("[]")
            else f"{column.quoted}::text"
        )
        + f" AS p{number}"
        for number, column in wanted.items()
    ]
    if org := _organisation(columns, table):
        taken.append(f"{org}::text AS org")
    return (
        sql.SQL(query("learnt/row"))
        .format(
            taken=sql.SQL(", ".join(taken)),
            table=sql.SQL(table),
            key=sql.SQL(order),
            most=sql.Literal(ROWS_DRAWN_FROM),
            name=sql.Identifier(f"row_{index}"),
        )
        .as_string()
    )


def _organisation(columns: Mapping[str, Column], table: str) -> str:
    """The column that says whose a row is; empty where none does."""
    column = application.load().tenant_column
    return column if column in columns else "id" if table == _tenants().table else ""


def _tenants() -> Tenants:
    return application.load().tenants or NO_TENANTS


def _user(columns: Columns) -> Iterator[str]:
    tenants, column = _tenants(), application.load().tenant_column
    known = columns.get(tenants.users, {})
    if "id" not in known:
        return
    if column in known:
        yield OWN_USER.format(users=tenants.users, column=column, type=known[column].type)
    else:
        yield ANY_USER.format(users=tenants.users)


def _acts(columns: Columns, acts: ActsAs) -> Iterator[str]:
    """A session of this installation tells who acts by the settings that its policies read."""
    tenants = _tenants()
    if "id" not in columns.get(tenants.users, {}):
        return
    holds = {"user": "current_setting('drawn.user')", "org": OWN_ORG, "claims": CLAIMS}
    holds = {
        kind: text.format(users=tenants.users, column=application.load().tenant_column)
        for kind, text in holds.items()
    }
    pairs = [
        f"set_config({_literal(name)}, {holds[kind]}, true)"
        for name, kind in acts.kinds.items()
        if kind in holds
    ]
    if pairs:
        yield f"SELECT {', '.join(pairs)};"


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


def _role(connection: Connection, role: str) -> str:
    may = rows(connection, query("learnt/takes_role"), {"role": role})
    return sql.Identifier(role).as_string(connection) if may and may[0]["may"] else ""
