"""What a table, view or function rests on: did anything change that decides who sees what?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mantis_runbook.postgres.catalog import Catalog

__all__ = ["Footing"]

NAME = re.compile(r'"(?:[^"]|"")+"|[A-Za-z_][\w$]*')
INDEXED = re.compile(r"CREATE UNIQUE INDEX \S+ ON (?:ONLY )?(\S+) USING ")
PART = re.compile(r"partition of (\S+?)[;,\s]")
GRANTED = re.compile(r"^(?:table|view|materialized view|function|column) (.*)$")

#: A function whose body writes is stopped by what guards writing; one that only reads is not.
WRITES = re.compile(
    r"\b(?:insert|update|delete|merge|truncate|copy|call|alter|create|drop|grant)\b", re.IGNORECASE
)

#: What cannot be read from a body: names that are put together while it runs, and languages that
#: are not PostgreSQL's own.
HIDDEN = re.compile(
    r"\bEXECUTE\b(?!\s+(?:FUNCTION|PROCEDURE)\b)|\bLANGUAGE (?!sql\b|plpgsql\b)\w+", re.IGNORECASE
)

#: Parts of a relation that decide what is read, and those that decide besides what is written.
READING, WRITING = ("policies", "rules"), ("triggers", "constraints")

#: Whose change concerns everything.
EVERYWHERE = ("schemas", "extensions", "event_triggers")

#: A relation, as it is read or also written; a function.
Node = tuple[str, str]


@dataclass(frozen=True)
class _Part:
    """One definition of a relation: of which kind, which name, and its text."""

    kind: str
    name: str
    text: str


@dataclass(frozen=True)
class _Side:
    """One of the two catalogues, its definitions by relation and function."""

    catalog: Catalog

    @cached_property
    def relations(self) -> dict[str, str]:
        return {**self.catalog["tables"], **self.catalog["views"]}

    @cached_property
    def parts(self) -> dict[str, list[_Part]]:
        """Definitions by the relation or function that they belong to."""
        parts: dict[str, list[_Part]] = {}
        for kind in ("columns", *READING, *WRITING):
            for name, text in self.catalog[kind].items():
                parts.setdefault(_owner(name), []).append(_Part(kind, name, text))
        for name, text in self.catalog["indexes"].items():
            if unique := INDEXED.match(text):
                parts.setdefault(unique[1], []).append(_Part("constraints", name, text))
        for name, text in self.catalog["privileges"].items():
            if granted := GRANTED.match(name):
                owner = _owner(granted[1]) if name.startswith("column ") else granted[1]
                parts.setdefault(owner, []).append(_Part("policies", name, text))
        return parts

    @cached_property
    def partitions(self) -> dict[str, list[str]]:
        """A partitioned table's partitions."""
        names: dict[str, list[str]] = {}
        for name, text in self.catalog["tables"].items():
            if of := PART.search(text + " "):
                names.setdefault(of[1], []).append(name)
        return names

    def texts(self, node: Node, columns: frozenset[str] | None) -> list[_Part]:
        """The definitions that a node consists of. `columns`: read are only these."""
        mode, name = node
        if mode == "function":
            body = _Part("functions", name, self.catalog["functions"].get(name, ""))
            return [body, *self.parts.get(name, ())]
        kinds = ("columns", *READING) if mode == "read" else ("columns", *READING, *WRITING)
        own = [
            part
            for part in self.parts.get(name, ())
            if part.kind in kinds
            and (
                mode == "full" or part.kind != "columns" or columns is None or part.name in columns
            )
        ]
        return [_Part("relations", name, self.relations.get(name, "")), *own]


@dataclass(frozen=True)
class Footing:
    """Two catalogues of one database, before and after a migration.

    By names: a function's body is text, and whatever it names counts as used by it. A function that
    puts names together while it runs, or is written in another language, counts as changed once
    anything is. Pure: no database is asked; what no catalogue tells (roles, data, settings) is not
    seen here.
    """

    before: Catalog
    now: Catalog
    _memo: dict[Node, bool] = field(default_factory=dict, compare=False, repr=False)
    _beyond: dict[Node, tuple[Node, ...]] = field(default_factory=dict, compare=False, repr=False)

    def is_unchanged(self, name: str) -> bool:
        """Whether nothing changed that decides who sees or writes what in an object of `public`.

        `name` is as the proof writes it (`reader`, `loans_of(uuid)`). What is new, or gone, has
        changed.
        """
        if self._is_changed_everywhere:
            return False
        node = (
            ("function", self._functions.get(name, f"public.{name}"))
            if "(" in name
            else ("full", f"public.{name}")
        )
        return not any(self._differs(one) for one in self._reached_from(node))

    def is_new(self, name: str) -> bool:
        """Whether a relation or a function was not there before."""
        if "(" in name:
            return self._functions.get(name, "") not in self.before["functions"]
        return f"public.{name}" not in self._then.relations

    @cached_property
    def _then(self) -> _Side:
        return _Side(self.before)

    @cached_property
    def _today(self) -> _Side:
        return _Side(self.now)

    @cached_property
    def _functions(self) -> dict[str, str]:
        """Functions as the proof writes them → as the catalogue does."""
        return {
            name.replace("public.", ""): name
            for name in (*self.before["functions"], *self.now["functions"])
        }

    @cached_property
    def _is_changed_everywhere(self) -> bool:
        whole = any(
            text != self.now[kind].get(name)
            for kind in EVERYWHERE
            for name, text in self.before[kind].items()
        )
        more = self.now["event_triggers"].keys() - self.before["event_triggers"].keys()
        then, today = (
            {name: text for name, text in side["privileges"].items() if name.startswith("schema ")}
            for side in (self.before, self.now)
        )
        return whole or bool(more) or any(today.get(name) != text for name, text in then.items())

    @cached_property
    def _named(self) -> Mapping[str, tuple[str, ...]]:
        """Bare name → relations and functions that are called so, now or before."""
        names_of: dict[str, dict[str, None]] = {}
        for side in (self._then, self._today):
            for name in side.relations:
                names_of.setdefault(_bare(name), {})[name] = None
            for name in side.catalog["functions"]:
                names_of.setdefault(_bare(name.partition("(")[0]), {})[name] = None
        return {bare: tuple(names) for bare, names in names_of.items()}

    def _reached_from(self, start: Node) -> Iterator[Node]:
        seen, ahead = {start}, [start]
        while ahead:
            node = ahead.pop()
            yield node
            if node not in self._beyond:
                self._beyond[node] = tuple(dict.fromkeys(self._edges(node)))
            for beyond in self._beyond[node]:
                if beyond not in seen:
                    seen.add(beyond)
                    ahead.append(beyond)

    def _differs(self, node: Node) -> bool:
        if node not in self._memo:
            mode, name = node
            then, today = (
                {
                    (part.kind, part.name): part.text
                    for part in side.texts(node, self._old_columns(name))
                }
                for side in (self._then, self._today)
            )
            body = self.now["functions"].get(name, "") if mode == "function" else ""
            self._memo[node] = (
                then != today
                or not any(then.values())
                or (bool(HIDDEN.search(_code(body))) and self._is_anything_changed)
            )
        return self._memo[node]

    @cached_property
    def _is_anything_changed(self) -> bool:
        """Whether any relation or function of before is not as it was: a name that is put together
        may be that one's.
        """
        kinds = (
            "tables",
            "views",
            "functions",
            "columns",
            "policies",
            "triggers",
            "constraints",
            "rules",
            "privileges",
        )
        return any(
            text != self.now[kind].get(name)
            for kind in kinds
            for name, text in self.before[kind].items()
        ) or any(
            _owner(name) in self._then.relations and name not in self.before[kind]
            for kind in ("policies", "triggers", "constraints", "rules")
            for name in self.now[kind]
        )

    def _old_columns(self, relation: str) -> frozenset[str]:
        return frozenset(
            part.name for part in self._then.parts.get(relation, ()) if part.kind == "columns"
        )

    def _edges(self, node: Node) -> Iterator[Node]:
        mode, name = node
        for part in self._today.texts(node, None):
            writes = part.kind == "functions" and bool(WRITES.search(_code(part.text)))
            for word in dict.fromkeys(NAME.findall(part.text)):
                for named in self._named.get(word.strip('"'), ()):
                    if named != name:
                        yield (
                            ("function", named)
                            if "(" in named
                            else ("full" if writes else "read", named)
                        )
        if mode == "full":
            for partition in self._today.partitions.get(name, ()):
                yield ("full", partition)


def _code(definition: str) -> str:
    """A function's definition without the words that every definition begins with."""
    return definition.replace("CREATE OR REPLACE ", "", 1)


def _owner(name: str) -> str:
    """The relation that a column, constraint, policy or trigger belongs to, by its name."""
    quoted = re.fullmatch(r'(.*)\."(?:[^"]|"")+"', name)
    return quoted[1] if quoted else name.rpartition(".")[0]


def _bare(name: str) -> str:
    """The last part of a qualified name."""
    return NAME.findall(name)[-1].strip('"') if NAME.findall(name) else name
