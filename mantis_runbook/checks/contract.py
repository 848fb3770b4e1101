"""What the catalogue owes the old application: all that was there, new columns beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mantis_runbook.postgres.catalog import Catalog

__all__ = ["Broken", "contract_broken"]

Definitions = Mapping[str, str]

LABEL = re.compile(r"'(?:[^']|'')*'")
NAME = re.compile(r'"(?:[^"]|"")+"|[A-Za-z_][\w$]*')
LITERAL = re.compile(r"'(?:[^']|'')*'(?:::[\w ]+)?")
LISTED = re.compile(r"^(?:PRIMARY KEY|UNIQUE(?: NULLS NOT DISTINCT)?|FOREIGN KEY) \(([^)]*)\)")
UNIQUE_INDEX = re.compile(
    r"CREATE UNIQUE INDEX \S+ ON (?:ONLY )?(?P<table>\S+) USING \w+ \((?P<columns>.*)\)"
)
SIGNATURE = re.compile(r"CREATE OR REPLACE (.*?)\n LANGUAGE ", re.DOTALL)
TUNING = re.compile(r" (?:STATISTICS \d+|OPTIONS .*)$")
OWNER = re.compile(r"; owner \S+$")

#: Lines of a view's definition that stand before its columns.
BEFORE_COLUMNS = ("options ", "not populated", "default of ")

#: What a new column of a table must have, so that an INSERT which does not know it succeeds.
FILLED = (" DEFAULT ", " GENERATED ")

#: What anybody may do with an object whose rights the catalogue does not tell: those of PUBLIC, as
#: PostgreSQL grants them.
STANDARD = {"function": {("PUBLIC", "EXECUTE")}, "type": {("PUBLIC", "USAGE")}}


@dataclass(frozen=True)
class Broken:
    """A promise to the old application that the catalogue no longer keeps."""

    kind: str
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.why}"


def contract_broken(before: Catalog, now: Catalog) -> list[Broken]:
    """What of `before` is gone or changed. Pure: no database is asked.

    Allowed are new columns that fill themselves, rules that concern new columns only, new indexes
    (none unique over old columns), triggers, policies and rights, other bodies of functions and
    views, and a table that became a partitioned one. A column that is NOT NULL without a default is
    allowed beside a new BEFORE INSERT trigger: whether that fills it, the statements show.
    """
    return [broken for part in PARTS for broken in part(before, now)]


def _tables(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, was in before["tables"].items():
        if (found := now["tables"].get(name)) is None:
            yield Broken("table", name, "is gone")
            continue
        kinds = [definition.split("; ")[0] for definition in (was, found)]
        if kinds[0] != kinds[1]:
            yield Broken("table", name, f"was a {kinds[0]}, is a {kinds[1]}")
        if "partition of " in was and "partition of " not in found:
            yield Broken(
                "table", name, "is no partition any more: its rows are not found in its table"
            )
        for flag in ("row security enabled", "row security forced"):
            if flag in found and flag not in was:
                yield Broken("table", name, f"{flag}, which hides rows that were seen")


def _columns(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, was in before["columns"].items():
        column = now["columns"].get(name)
        if _table(name) not in now["tables"]:
            continue
        if column is None:
            yield Broken("column", name, "is gone")
        elif TUNING.sub("", column) != TUNING.sub("", was):
            yield Broken("column", name, f"was {was}, is {column}")


def _new_columns(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, definition in now["columns"].items():
        table = _table(name)
        if (
            name in before["columns"]
            or table not in before["tables"]
            or "partition of " in now["tables"].get(table, "")
        ):
            continue
        fills_itself = any(word in definition + " " for word in FILLED)
        if (
            " NOT NULL" in definition
            and not fills_itself
            and not _new_insert_trigger(table, before, now)
        ):
            yield Broken(
                "column",
                name,
                "is new, NOT NULL and without a default: an INSERT that does not know it fails",
            )


def _new_insert_trigger(table: str, before: Catalog, now: Catalog) -> bool:
    return any(
        _table(name) == table and re.search(r" BEFORE INSERT\b", definition)
        for name, definition in now["triggers"].items()
        if name not in before["triggers"]
    )


def _order(before: Catalog, now: Catalog) -> Iterator[Broken]:
    """Columns keep their places: INSERT without a list of columns, and SELECT *, go by them."""
    for table, was in before["column_order"].items():
        order = now["column_order"].get(table, was)
        if not _begins_with(order, was) and set(NAME.findall(was)) <= set(NAME.findall(order)):
            yield Broken("table", table, f"its columns came as {was}, they come as {order}")


def _constraints(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, was in before["constraints"].items():
        table = _table(name)
        if table not in now["tables"]:
            continue
        same = now["constraints"].get(name)
        if _turned(table, before, now):
            if was.startswith(("PRIMARY KEY", "UNIQUE")):
                continue
            same = was if was in _of(now["constraints"], table).values() else same
        if same is None:
            yield Broken("constraint", name, f"is gone: {was}")
        elif same != was.removesuffix(" NOT VALID") and same != was:
            yield Broken("constraint", name, f"was {was}, is {same}")


def _new_constraints(before: Catalog, now: Catalog) -> Iterator[Broken]:
    known = {table: set(_of(before["constraints"], table).values()) for table in before["tables"]}
    for name, definition in now["constraints"].items():
        table = _table(name)
        if name in before["constraints"] or table not in known or definition in known[table]:
            continue
        if _turned(table, before, now) and definition.startswith(("PRIMARY KEY", "UNIQUE")):
            continue
        old = _old_columns(table, before)
        listed = LISTED.match(definition)
        concerned = _names(listed[1] if listed else definition) & (
            old | _new_names(table, before, now)
        )
        if concerned <= old if listed else concerned & old:
            yield Broken(
                "constraint",
                name,
                f"is new and concerns {', '.join(sorted(concerned & old))}: {definition}",
            )


def _new_unique_indexes(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, definition in now["indexes"].items():
        index = UNIQUE_INDEX.match(definition)
        if name in before["indexes"] or not index or index["table"] not in before["tables"]:
            continue
        table = index["table"]
        if _turned(table, before, now):
            continue
        if not _names(index["columns"]) & _new_names(table, before, now):
            yield Broken("index", name, f"is new and unique over columns of before: {definition}")


def _enums(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, was in before["enums"].items():
        if name not in now["enums"]:
            yield Broken("enum", name, "is gone")
            continue
        old, labels = (LABEL.findall(OWNER.sub("", text)) for text in (was, now["enums"][name]))
        if missing := [label for label in old if label not in labels]:
            yield Broken("enum", name, f"has lost {', '.join(missing)}")
        elif [label for label in labels if label in old] != old:
            yield Broken("enum", name, "its labels come in another order")


def _types(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, was in before["types"].items():
        definition = now["types"].get(name)
        if definition is None or OWNER.sub("", definition) != OWNER.sub("", was):
            yield Broken(
                "type", name, "is gone" if definition is None else f"was {was}, is {definition}"
            )


def _views(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, was in before["views"].items():
        if (definition := now["views"].get(name)) is None:
            yield Broken("view", name, "is gone")
            continue
        old, new = _view(was), _view(definition)
        if old.kind != new.kind:
            yield Broken("view", name, f"was a {old.kind}, is a {new.kind}")
        if not _begins_with(new.columns, old.columns):
            yield Broken("view", name, f"had the columns {old.columns}, has {new.columns}")
        if lost := old.options - new.options:
            yield Broken("view", name, f"has lost {', '.join(sorted(lost))}")


def _functions(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, was in before["functions"].items():
        if (definition := now["functions"].get(name)) is None:
            yield Broken("function", name, "is gone")
        elif _signature(definition) != _signature(was):
            yield Broken("function", name, f"was {_signature(was)}, is {_signature(definition)}")


def _triggers(before: Catalog, now: Catalog) -> Iterator[Broken]:
    """What a trigger does may change; that it fires, and when, may not."""
    for name, was in before["triggers"].items():
        if _table(name) not in now["tables"]:
            continue
        if (definition := now["triggers"].get(name)) is None:
            yield Broken("trigger", name, "is gone")
        elif _fires(definition) != _fires(was):
            yield Broken("trigger", name, f"was {was}, is {definition}")


def _sequences(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name in before["sequences"].keys() - now["sequences"].keys():
        yield Broken("sequence", name, "is gone")


def _rights(before: Catalog, now: Catalog) -> Iterator[Broken]:
    """No right was lost on what is still there; without it a statement would be refused."""
    for name in sorted(before["privileges"].keys() | now["privileges"].keys()):
        kind, _, of = name.partition(" ")
        if not _is_there(kind, of, before) or not _is_there(kind, of, now):
            continue
        # PostgreSQL asks for it when a trigger is made, not when it fires; and a function made anew
        # has another owner.
        if kind == "function" and "RETURNS trigger" in now["functions"].get(of, ""):
            continue
        lost = _granted(kind, before["privileges"].get(name)) - _granted(
            kind, now["privileges"].get(name)
        )
        if lost:
            rights = ", ".join(f"{right} of {grantee}" for grantee, right in sorted(lost))
            yield Broken("rights", of, f"lost {rights}")


def _rules(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name, was in before["rules"].items():
        if _table(name) in now["tables"] and (definition := now["rules"].get(name)) != was:
            yield Broken(
                "rule", name, "is gone" if definition is None else f"was {was}, is {definition}"
            )


def _extensions(before: Catalog, now: Catalog) -> Iterator[Broken]:
    for name in before["extensions"].keys() - now["extensions"].keys():
        yield Broken("extension", name, "is gone")


PARTS: tuple[Callable[[Catalog, Catalog], Iterator[Broken]], ...] = (
    _tables,
    _columns,
    _new_columns,
    _order,
    _constraints,
    _new_constraints,
    _new_unique_indexes,
    _enums,
    _types,
    _views,
    _functions,
    _triggers,
    _sequences,
    _rules,
    _extensions,
    _rights,
)


# -- reading definitions ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    kind: str
    options: frozenset[str]
    columns: str


def _view(definition: str) -> _View:
    first, *rest = definition.splitlines()
    options = [line.removeprefix("options ") for line in rest if line.startswith("options ")]
    columns = next((line for line in rest if not line.startswith(BEFORE_COLUMNS)), "")
    return _View(
        first.split(",")[0],
        frozenset(option for line in options for option in line.split(", ")),
        columns,
    )


def _signature(definition: str) -> str:
    """Names, types and defaults of the arguments, and what is returned."""
    signature = SIGNATURE.search(definition)
    return " ".join((signature[1] if signature else definition.partition("\n")[2]).split())


def _fires(definition: str) -> tuple[str, str]:
    """When it fires, and whether it is disabled; not which function."""
    return (
        definition.partition(" EXECUTE FUNCTION ")[0],
        definition.partition(")")[2].rpartition("; ")[2],
    )


def _granted(kind: str, definition: str | None) -> set[tuple[str, str]]:
    """Pairs of grantee and right, whoever granted it."""
    if definition is None:
        return set(STANDARD.get(kind, set()))
    if definition == "nobody":
        return set()
    grants = (re.sub(r" \(by .*\)$", "", one).partition(": ") for one in definition.split("; "))
    return {
        (grantee, right.rstrip("*"))
        for grantee, _, rights in grants
        for right in rights.split(", ")
    }


def _is_there(kind: str, name: str, catalog: Catalog) -> bool:
    classes = {
        "table": "tables",
        "view": "views",
        "column": "columns",
        "function": "functions",
        "sequence": "sequences",
    }
    return kind == "schema" or (kind in classes and name in catalog[classes[kind]])


def _table(name: str) -> str:
    """The relation that a column, constraint or trigger belongs to, by its name."""
    quoted = re.fullmatch(r'(.*)\."(?:[^"]|"")+"', name)
    return quoted[1] if quoted else name.rpartition(".")[0]


def _of(definitions: Definitions, table: str) -> dict[str, str]:
    return {name: definition for name, definition in definitions.items() if _table(name) == table}


def _turned(table: str, before: Catalog, now: Catalog) -> bool:
    """Whether a plain table became partitioned: its keys must then hold the partition key."""
    return "partitioned by" in now["tables"].get(table, "") and "partitioned by" not in before[
        "tables"
    ].get(table, "")


def _old_columns(table: str, before: Catalog) -> set[str]:
    return set(NAME.findall(before["column_order"].get(table, "")))


def _new_names(table: str, before: Catalog, now: Catalog) -> set[str]:
    return set(NAME.findall(now["column_order"].get(table, ""))) - _old_columns(table, before)


def _names(expression: str) -> set[str]:
    """Words of an expression that may be columns; what stands in quotes is text."""
    return set(NAME.findall(LITERAL.sub("", expression)))


def _begins_with(order: str, was: str) -> bool:
    return order == was or order.startswith(f"{was}, ")
