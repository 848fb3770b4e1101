"""What the database's catalogue says, and how two of them differ."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from mantis_runbook import display
from mantis_runbook.errors import ParameterError
from mantis_runbook.postgres import connection as database
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.expressions import flattened
from mantis_runbook.postgres.output_settings import DEFINITIONS, pinned, snapshot_of_one_instant

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CLASSES", "COLUMN_ORDER", "FIRST_CLASSES", "Catalog", "Change", "Difference", "diff",
    "left_behind", "snapshot",
]  # fmt: skip

#: Every archived catalogue has these; those of an earlier version of the runbook have no others.
FIRST_CLASSES = (
    "schemas", "extensions", "enums", "types", "tables", "columns", "column_order", "constraints",
    "indexes", "policies", "privileges", "triggers", "event_triggers", "functions", "views",
    "sequences", "rules", "statistics", "comments",
)  # fmt: skip

#: One query of `sql/catalog/` each, in the order in which a report tells them.
CLASSES = (
    *FIRST_CLASSES, "publications", "subscriptions", "storage", "tablespaces", "inheritance",
    "not_null_constraints", "base_types", "operators", "operator_classes", "casts", "collations",
    "conversions", "languages", "transforms", "access_methods", "text_search", "foreign_data",
    "large_objects", "security_labels", "extension_dependencies", "other_privileges",
    "other_comments", "database",
)  # fmt: skip

#: What no rollback answers for: an administrator may set them at any time, large objects are the
#: application's rows, and PostgreSQL 18 names the constraint of a column that becomes NOT NULL
#: again as it likes.
NOT_OF_A_ROLLBACK = ("database", "large_objects", "not_null_constraints")

COLUMN_ORDER = "column_order"

#: `x IN ('a', 'b')` over a varchar column: the server writes the cast around the array, and after a
#: restore of that very text around each element. Both are read here as the second.
_CAST_ARRAY = re.compile(r"\((ARRAY\[(?:'(?:[^']|'')*'::character varying(?:, )?)+\])\)::text\[\]")
_VARCHAR = re.compile(r"'(?:[^']|'')*'::character varying")


@dataclass(frozen=True)
class Catalog:
    """Definitions by name, by class: `catalog["indexes"]["public.reader_pkey"]`.

    Two that are equal have one hash.

    A catalogue of an earlier version of the runbook has fewer classes: it is compared on those that
    it has.
    """

    classes: Mapping[str, Mapping[str, str]]

    def __post_init__(self) -> None:
        has = [name for name in CLASSES if name in FIRST_CLASSES or name in self.classes]
        frozen = {
            name: MappingProxyType(dict(sorted(self.classes.get(name, {}).items()))) for name in has
        }
        object.__setattr__(self, "classes", MappingProxyType(frozen))

    def __getitem__(self, name: str) -> Mapping[str, str]:
        """The definitions of a class; none where this catalogue is older than the class."""
        return self.classes[name] if name in self.classes or name not in CLASSES else {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.classes)

    def __len__(self) -> int:
        """Number of objects, column orders not counted."""
        return sum(len(entries) for name, entries in self.classes.items() if name != COLUMN_ORDER)

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __reduce__(self) -> tuple[object, ...]:
        return Catalog.from_json, (self.to_json(),)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def frame(self) -> pd.DataFrame:
        """Objects of each class, counted."""
        import pandas as pd

        counts = [(name, len(entries)) for name, entries in self.classes.items()]
        return pd.DataFrame(counts, columns=["class", "objects"])

    def to_json(self) -> str:
        """One text for one catalogue: sorted, without spaces."""
        plain = {name: dict(entries) for name, entries in self.classes.items()}
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Catalog:
        """Raises `ParameterError` when the text is no catalogue of ours."""
        plain = json.loads(text)
        classes = set(plain) if isinstance(plain, dict) else {type(plain).__name__}
        if not set(FIRST_CLASSES) <= classes <= set(CLASSES):
            raise ParameterError(
                "catalogue in JSON", found=", ".join(sorted(classes)), expected=", ".join(CLASSES),
                action="take the snapshot again with this version",
            )  # fmt: skip
        return cls(plain)


def snapshot(
    connection: Connection, schemas: Collection[str] | None = None, *, ignore: Collection[str] = ()
) -> Catalog:
    """Read the catalogue: all schemas of users but the runbook's own, or only `schemas`.

    `ignore` names relations to leave out with all that belongs to them, written as PostgreSQL
    writes them (`public.schema_migrations`). Members of an extension are told by the extension
    alone. An object's text does not depend on the session's settings, nor on OIDs: a database and
    its restored dump read alike.

    Covered is what `pg_dump --schema-only` shows, and settings of the database. Not covered: roles,
    whose passwords nobody shall read here, the values of options and settings that may be secrets,
    and a subscription's connection.
    """
    only = None if schemas is None else list(schemas)
    limits = {"schemas": only, "without": [database.SCHEMA], "ignore": list(ignore)}
    with snapshot_of_one_instant(connection), pinned(connection, DEFINITIONS):
        [scope] = database.rows(connection, database.query("catalog/scope"), limits)
        return Catalog({name: _read(connection, name, limits | scope) for name in CLASSES})


def _read(connection: Connection, name: str, scope: Mapping[str, object]) -> dict[str, str]:
    older = name == "publications" and connection.info.server_version < 150_000
    rows = connection.execute(
        database.query(f"catalog/{name}{'_of_14' if older else ''}"), scope
    ).fetchall()
    return {str(key): _settled(str(definition)) for key, definition in rows}


def _settled(definition: str) -> str:
    """The form in which PostgreSQL would write this expression after reading it again."""
    cast = _CAST_ARRAY.sub(
        lambda match: _VARCHAR.sub(lambda literal: f"({literal[0]})::text", match[1]), definition
    )
    return flattened(cast)


@dataclass(frozen=True)
class Change:
    """One object that is not as it was.

    `before` is None where it was added, `after` where it was removed.
    """

    kind: str
    name: str
    before: str | None
    after: str | None

    @property
    def verb(self) -> str:
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    def __str__(self) -> str:
        sign = {"added": "+", "removed": "-", "changed": "~"}[self.verb]
        if self.verb == "changed":
            return (
                f"{sign} {self.kind} {self.name}\n    before: {self.before}\n    after: "
                f" {self.after}"
            )
        return (
            f"{sign} {self.kind} {self.name}: {self.after if self.before is None else self.before}"
        )


@dataclass(frozen=True)
class Difference:
    """What changed between two catalogues.

    Column order stands apart: a rollback that adds a dropped column again cannot restore it. So do
    labels of enums that an operator added, on the record (`leaving_labels`): PostgreSQL cannot drop
    one.
    """

    changes: tuple[Change, ...] = ()
    column_order: tuple[Change, ...] = field(default=())
    labels_left: tuple[Change, ...] = field(default=())

    @property
    def is_empty(self) -> bool:
        """Nothing changed, the order of columns aside."""
        return not self.changes

    @property
    def exactly_equal(self) -> bool:
        """Nothing changed, nor did any table's columns change places, nor was any label left."""
        return not self.changes and not self.column_order and not self.labels_left

    @property
    def after_rollback(self) -> Difference:
        """What a rollback left behind against the strategy: extensions it made stay, since others
        may use them by now.

        Nor does it answer for what is no migration's (`NOT_OF_A_ROLLBACK`).
        """
        stay = {
            change.name
            for change in self.changes
            if change.kind == "extensions" and change.verb == "added"
        }
        of_theirs = tuple(f" (of extension {name})" for name in stay)
        kept = tuple(
            change
            for change in self.changes
            if change.kind not in NOT_OF_A_ROLLBACK
            and not (change.kind == "extensions" and change.name in stay)
            # what default privileges gave to their functions
            and not (
                change.kind == "other_privileges"
                and change.verb == "added"
                and (change.after or "").endswith(of_theirs)
            )
        )
        return replace(self, changes=kept)

    def leaving_labels(self, enum: str, labels: Collection[str]) -> Difference:
        """The same, with an enum that differs by nothing but these added labels set apart, to be
        told and not to fail.

        `enum` is written as PostgreSQL writes it (`public.colour`).
        """
        stay = tuple(
            change
            for change in self.changes
            if change.kind == "enums"
            and change.name == enum
            and change.before == _less(change.after, labels)
        )
        return replace(
            self,
            changes=tuple(change for change in self.changes if change not in stay),
            labels_left=(*self.labels_left, *stay),
        )

    @property
    def added(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.verb == "added")

    @property
    def removed(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.verb == "removed")

    @property
    def changed(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.verb == "changed")

    @property
    def frame(self) -> pd.DataFrame:
        """One row a change, those of labels that stay and of column order last."""
        import pandas as pd

        rows = [(c.kind, c.name, c.verb, c.before, c.after) for c in self.all]
        return pd.DataFrame(
            rows, columns=["class", "name", "change", "before", "after"], dtype=object
        )

    @property
    def summary(self) -> str:
        """How many changes of which kind, in one line."""
        kinds = {"added": self.added, "removed": self.removed, "changed": self.changed}
        parts = [f"{len(changes)} {verb}" for verb, changes in kinds.items() if changes]
        order = f"column order differs in {', '.join(change.name for change in self.column_order)}"
        labels = (
            "labels that the operator added to"
            f" {', '.join(change.name for change in self.labels_left)} stay: PostgreSQL cannot drop"
            " a label"
        )
        return (
            ", ".join(parts or ["the catalogues are equal"])
            + (f"; {labels}" if self.labels_left else "")
            + (f"; {order}" if self.column_order else "")
        )

    @property
    def all(self) -> tuple[Change, ...]:
        """Every change, those of labels that stay and of column order last."""
        return (*self.changes, *self.labels_left, *self.column_order)

    def __str__(self) -> str:
        return "\n".join([self.summary, *map(str, self.all)])

    def _repr_html_(self) -> str:
        return display.table(self.frame, caption=self.summary, empty="no object differs")


def diff(before: Catalog, after: Catalog) -> Difference:
    """What turns the one into the other, in the classes that both have.

    Pure: no database is asked.
    """
    changes = [
        change
        for kind in CLASSES
        if kind != COLUMN_ORDER and kind in before.classes and kind in after.classes
        for change in _changes(kind, before[kind], after[kind])
    ]  # fmt: skip
    return Difference(tuple(changes), tuple(_reordered(before, after)))


def left_behind(
    before: Catalog, after: Catalog, added_labels: Mapping[str, Collection[str]] | None = None
) -> Difference:
    """What a rollback left, beside what it must leave: extensions, and labels that the operator
    added to an enum (its name as PostgreSQL writes it), which are told.
    """
    difference = diff(before, after).after_rollback
    for enum, labels in (added_labels or {}).items():
        difference = difference.leaving_labels(enum, labels)
    return difference


def _less(definition: str | None, labels: Collection[str]) -> str | None:
    """An enum's definition (`sql/catalog/enums.sql`) without these labels at its end."""
    definition_labels, semicolon, owner = (definition or "").partition("; ")
    listed = definition_labels.split(", ")
    quoted_labels = {f"'{label}'" for label in labels}
    while listed and listed[-1] in quoted_labels:
        listed.pop()
    return f"{', '.join(listed)}{semicolon}{owner}"


def _changes(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Change(kind, name, before.get(name), after.get(name))


def _reordered(before: Catalog, after: Catalog) -> Iterator[Change]:
    """Tables whose common columns come in another order."""
    for table in sorted(before[COLUMN_ORDER].keys() & after[COLUMN_ORDER].keys()):
        old, new = before[COLUMN_ORDER][table], after[COLUMN_ORDER][table]
        common = set(_names(old)) & set(_names(new))
        if [name for name in _names(old) if name in common] != [
            name for name in _names(new) if name in common
        ]:
            yield Change(COLUMN_ORDER, table, old, new)


def _names(order: str) -> list[str]:
    """The column names in a comma-separated list, each as quoted there."""
    return re.findall(r'"(?:[^"]|"")*"|[^", ]+', order)
