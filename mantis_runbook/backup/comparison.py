"""Two fingerprints compared: table by table, is what is there now what was there before?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mantis_runbook import display
from mantis_runbook.backup.beside_tables import LargeObjects, SequenceState
from mantis_runbook.backup.fingerprint import NO_ORGANISATION, Fingerprint, Sums, TableFingerprint

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "Verdict", "compare", "compare_restored"]


@dataclass(frozen=True)
class Verdict:
    """One table, compared.

    Either side is None where the table is not there. Rows are `(found, expected)`.
    """

    table: str
    before: TableFingerprint | None
    after: TableFingerprint | None

    @property
    def is_equal(self) -> bool:
        if self.before is None or self.after is None or self.before.columns != self.after.columns:
            return False
        return self.before.total == self.after.total and not self.organisations

    @property
    def expected(self) -> int | None:
        return None if self.before is None else self.before.total.rows

    @property
    def found(self) -> int | None:
        return None if self.after is None else self.after.total.rows

    @property
    def missing_columns(self) -> tuple[str, ...]:
        """Columns that were hashed before and are not there any more."""
        if self.before is None or self.after is None:
            return ()
        return tuple(column for column in self.before.columns if column not in self.after.columns)

    @property
    def organisations(self) -> dict[str, tuple[Sums, Sums]]:
        """Where it differs: organisation → (found, expected). Empty where one side tells none."""
        if (
            self.before is None
            or self.after is None
            or not (self.before.organisations and self.after.organisations)
        ):
            return {}
        old, new = self.before.organisations, self.after.organisations
        pairs = {
            name: (new.get(name, Sums()), old.get(name, Sums()))
            for name in sorted(old.keys() | new.keys())
        }
        return {
            name: (found, expected)
            for name, (found, expected) in pairs.items()
            if found != expected
        }

    @property
    def message(self) -> str:
        """One line: `reader has 49,812 rows, expected 50,000 (organisation 3f2a1b4c…: 188
        fewer)`.
        """
        table = _short(self.table)
        if self.before is None:
            return f"{table} was not there before, and has {_rows(self.found)}"
        if self.after is None:
            return f"{table} is missing, expected {_rows(self.expected)}"
        if self.missing_columns:
            return (
                f"{table} has lost {', '.join(self.missing_columns)}, so its content cannot be"
                " compared"
            )
        if self.before.columns != self.after.columns:
            return f"{table} was hashed over other columns, so its content cannot be compared"
        if self.found != self.expected:
            return f"{table} has {_rows(self.found)}, expected {self.expected:,}{self._where()}"
        if not self.is_equal:
            return (
                f"{table} has {_rows(self.found)} as expected, but their content"
                f" differs{self._where()}"
            )
        return f"{table} is equal, {_rows(self.found)}"

    def _where(self) -> str:
        """The first three organisations in which it differs, and how many more there are."""
        parts = [
            _organisation(name, found, expected)
            for name, (found, expected) in self.organisations.items()
        ]
        more = [f"{len(parts) - 3} more"] if len(parts) > 3 else []
        return f" ({', '.join(parts[:3] + more)})" if parts else ""


@dataclass(frozen=True)
class Comparison:
    """Two fingerprints, table by table; and what else differs, a sentence each."""

    verdicts: tuple[Verdict, ...]
    others: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Every table is equal, there was at least one to compare, and nothing else differs."""
        return (
            bool(self.verdicts)
            and not self.others
            and all(verdict.is_equal for verdict in self.verdicts)
        )

    @property
    def differing(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if not verdict.is_equal)

    @property
    def message(self) -> str:
        if not self.verdicts:
            return "no table was compared"
        if self.is_equal:
            rows = _rows(sum(verdict.found or 0 for verdict in self.verdicts))
            count = len(self.verdicts)
            return (
                f"{count} tables with {rows} are equal"
                if count > 1
                else f"1 table with {rows} is equal"
            )
        return "; ".join([*(verdict.message for verdict in self.differing), *self.others])

    @property
    def frame(self) -> pd.DataFrame:
        import pandas as pd  # a second that no command waits for

        lines = [
            (
                v.table,
                "equal" if v.is_equal else "differs",
                v.found,
                v.expected,
                len(v.organisations),
                v.message,
            )
            for v in self.verdicts
        ]
        names = ["table", "verdict", "found", "expected", "organisations", "message"]
        return pd.DataFrame(lines, columns=names).astype({"found": "Int64", "expected": "Int64"})

    def __str__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        """The differing tables first, each with what differs."""
        ordered = sorted(self.verdicts, key=lambda verdict: (verdict.is_equal, verdict.table))
        differing = f"{len(self.differing)} of {len(self.verdicts)} tables differ"
        caption = differing if self.differing else self.message
        return display.table(
            [_line(verdict) for verdict in ordered], verdict_column="verdict", caption=caption
        )


def compare(before: Fingerprint, after: Fingerprint) -> Comparison:
    """Table by table: is what is there now what was there before? Pure; large objects too,
    sequences not.
    """
    names = sorted(before.tables.keys() | after.tables.keys())
    verdicts = tuple(
        Verdict(name, before.tables.get(name), after.tables.get(name)) for name in names
    )
    return Comparison(verdicts, tuple(_large_differ(before.large_objects, after.large_objects)))


def compare_restored(before: Fingerprint, after: Fingerprint) -> Comparison:
    """A restored dump with the database it was taken of: as `compare`, and where the sequences
    stand. Pure.

    A dump takes a sequence's value at some time between the two readings that `before` holds: there
    it must stand, which is equality where nobody drew a number meanwhile. One that went back
    meanwhile (reset, or begun anew at its end) can stand anywhere, and is not judged.
    """
    content = compare(before, after)
    if not before.sequences_later:
        return content
    differing = (
        _sequence_differs(
            name, first, before.sequences_later.get(name, first), after.sequences.get(name)
        )
        for name, first in sorted(before.sequences.items())
    )
    return replace(content, others=(*content.others, *filter(None, differing)))


def _sequence_differs(
    name: str, first: SequenceState, last: SequenceState, found: SequenceState | None
) -> str:
    if found is None:
        return f"sequence {_short(name)} is missing"
    if last.place < first.place or first.place <= found.place <= last.place:
        return ""
    expected = (
        f"{first.last_value:,}" if first == last else f"{first.last_value:,} to {last.last_value:,}"
    )
    drawn = (
        ""
        if found.last_value != first.last_value
        else ", drawn already"
        if found.is_called
        else ", not drawn yet"
    )
    return f"sequence {_short(name)} stands at {found.last_value:,}{drawn}, expected {expected}"


def _large_differ(before: LargeObjects | None, after: LargeObjects | None) -> Iterator[str]:
    if before is None or after is None or before == after:
        return
    if (before.objects, before.bytes) != (after.objects, after.bytes):
        found, expected = (f"{one.objects:,} with {one.bytes:,} bytes" for one in (after, before))
        yield f"large objects: {found}, expected {expected}"
    else:
        yield f"large objects: {after.objects:,} as expected, but their content differs"


def _organisation(name: str, found: Sums, expected: Sums) -> str:
    who = f"organisation {name[:8]}…" if name != NO_ORGANISATION else "without organisation"
    if found.rows == expected.rows:
        return f"{who}: other content"
    return (
        f"{who}: {abs(found.rows - expected.rows):,}"
        f" {'fewer' if found.rows < expected.rows else 'more'}"
    )


def _rows(count: int | None) -> str:
    return f"{count or 0:,} row{'' if count == 1 else 's'}"


def _short(name: str) -> str:
    return name.removeprefix("public.")


def _line(verdict: Verdict) -> dict[str, Any]:
    return {
        "table": _short(verdict.table),
        "verdict": "pass" if verdict.is_equal else "fail",
        "rows found": verdict.found,
        "rows expected": verdict.expected,
        "what differs": "" if verdict.is_equal else verdict.message,
    }
