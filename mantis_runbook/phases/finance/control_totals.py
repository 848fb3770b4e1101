"""Control totals: rows and sum of each amount column, per organisation and currency, to be equal to
the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from psycopg import sql

from mantis_runbook.postgres.connection import Connection, query, rows
from mantis_runbook.postgres.output_settings import CONTENT, pinned, snapshot_of_one_instant

__all__ = ["Compared", "Totals", "compare", "control_totals", "differences", "keep", "summed"]

#: Organisation, table, column, currency → rows and their sum.
Totals = Mapping[tuple[str, str, str, str], tuple[int, Decimal]]

BLOCK = 1 << 16


@dataclass(frozen=True)
class Compared:
    """The rows that were kept, and what became of them. `left_out` says by table and reason which
    rows are in no total.
    """

    before: Totals
    after: Totals
    kept: int
    compared: int
    left_out: tuple[Mapping[str, Any], ...]

    @property
    def summary(self) -> str:
        if not self.kept:
            return "0 control totals, there was no money yet"
        left = self.kept - self.compared
        unsure = sum(
            row["rows"] for row in self.left_out if row["left_out"] == "currency not judged"
        )
        return "; ".join(
            [
                (
                    f"{len(self.after)} control totals agree before and after, over"
                    f" {self.compared:,} of {self.kept:,} rows"
                ),
                *([f"{left:,} that the application changed since are left out"] if left else []),
                *(
                    [f"of {unsure:,} the currency is not judged: their organisation named another"]
                    if unsure
                    else []
                ),
            ]
        )


def control_totals(connection: Connection, when: str) -> Totals:
    """Of all rows, at one instant. `when` is before (the currency as the settings mean it) or after
    (as each row has it).
    """
    return _totals(rows(connection, query(f"finance/control_totals_{when}")))


def _totals(records: list[dict[str, Any]]) -> Totals:
    return {
        (str(row["org_id"]), row["table_name"], row["column_name"], row["currency"]): (
            row["rows"],
            row["total"],
        )
        for row in records
    }


def differences(before: Totals, after: Totals) -> list[dict[str, Any]]:
    """Totals that do not agree to the last digit, one record each. Pure."""
    return [
        {
            "organisation": key[0],
            "amount": f"{key[1]}.{key[2]}",
            "currency": key[3],
            "before": _stated(before.get(key)),
            "after": _stated(after.get(key)),
        }
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _stated(total: tuple[int, Decimal] | None) -> str:
    return "none" if total is None else f"{total[0]:,} rows, {total[1]:,}"


def summed(totals: Totals) -> list[dict[str, Any]]:
    """Over organisations, so that the table stays readable whatever their number. Pure."""
    sums: dict[tuple[str, str], tuple[int, int, Decimal]] = {}
    for (_, table, column, currency), (count, total) in totals.items():
        organisations, rows_so_far, sum_so_far = sums.get(
            (f"{table}.{column}", currency), (0, 0, Decimal(0))
        )
        sums[f"{table}.{column}", currency] = (
            organisations + 1,
            rows_so_far + count,
            sum_so_far + total,
        )
    return [
        {
            "amount": amount,
            "currency": currency,
            "organisations": organisations,
            "rows": count,
            "total": f"{total:,}",
        }
        for (amount, currency), (organisations, count, total) in sorted(sums.items())
    ]


# -- row by row, beside an application that writes on ----------------------------------------------


def keep(connection: Connection, path: Path) -> int:
    """Write every row of money, as of one instant, into a file that only we may read; returns their
    number.

    A file and not a table: nothing is written to the database, and neither its crash nor ours loses
    it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    copy_out = sql.SQL("COPY ({}) TO STDOUT").format(sql.SQL(query("finance/amounts_before")))
    with (
        snapshot_of_one_instant(connection),
        pinned(connection, CONTENT),
        connection.cursor() as cursor,
    ):
        with part.open("wb") as file, cursor.copy(copy_out) as copy:
            for block in copy:
                file.write(block)
        count = cursor.rowcount
    part.replace(path)
    return count


def compare(connection: Connection, path: Path) -> Compared:
    """The rows that `keep` wrote beside what they are now; memory does not depend on their number.

    Equality is demanded of every row that the application left alone. What it changed or deleted
    itself, which updated_at and audit_log show, is left out; so is the currency, not the amounts,
    of an organisation that named another one meanwhile. Whoever writes without triggers leaves no
    such trace, and is not told from the migration.
    """
    with connection.transaction():
        _load(connection, path)
        beside = sql.SQL("CREATE TEMPORARY TABLE amount_compared ON COMMIT DROP AS {}")
        connection.execute(beside.format(sql.SQL(query("finance/amounts_compared"))))
        records = rows(connection, query("finance/amounts_totals"))
        left_out = rows(connection, query("finance/amounts_left_out"))
        counted = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE fate = 'compared') FROM amount_compared"
        )
        kept, compared = counted.fetchone() or (0, 0)
    before, after = (
        _totals([row for row in records if row["side"] == side]) for side in ("before", "after")
    )
    return Compared(before, after, kept, compared, tuple(left_out))


def _load(connection: Connection, path: Path) -> None:
    """The file as a temporary table, for as long as the transaction lasts."""
    empty = sql.SQL("CREATE TEMPORARY TABLE amount_before ON COMMIT DROP AS {} WITH NO DATA")
    connection.execute(empty.format(sql.SQL(query("finance/amounts_before"))))
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY amount_before FROM STDIN") as copy,
        path.open("rb") as file,
    ):
        while block := file.read(BLOCK):
            copy.write(block)
    connection.execute("ANALYZE amount_before")
