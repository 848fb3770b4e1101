"""What lint says: for each rule whom the statement blocks, why, and the safe steps.

Durations are the worst write stalls measured on 2 million rows (PostgreSQL 15, two cores); locks
are those of https://www.postgresql.org/docs/current/explicit-locking.html and of each command's own
page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ADVICE", "Advice", "Severity"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Advice:
    """A rule's texts.

    Names in braces are filled in; `{steps}` stands for steps that the rule itself works out.
    """

    severity: Severity
    blocks: str
    why: str
    instead: str


ALTERED = "every read and write of {table}"

ADVICE: dict[str, Advice] = {
    "index-blocks-writes": Advice(
        "error",
        "every write to {table}, for the whole build",
        "CREATE INDEX takes SHARE on {table}; writes stood still for 2,118 ms, with CONCURRENTLY"
        " for 38 ms",
        "{steps}",
    ),
    "drop-index-blocks": Advice(
        "error",
        "every read and write of the table of {name}, and all who queue behind its readers",
        "DROP INDEX takes ACCESS EXCLUSIVE on the index's table",
        "{steps}",
    ),
    "reindex-blocks": Advice(
        "error",
        "every write to the table, and reads that would use the index, for the whole build",
        "REINDEX without CONCURRENTLY takes SHARE on the table and ACCESS EXCLUSIVE on the index",
        "-- step: rebuild {name}\nREINDEX {kind} CONCURRENTLY {name};",
    ),
    "constraint-builds-index": Advice(
        "error",
        ALTERED + ", while an index is built",
        "a {kind} added in one go builds its index under ACCESS EXCLUSIVE on {table}",
        "{steps}",
    ),
    "exclusion-builds-index": Advice(
        "error",
        ALTERED + ", while an index is built",
        "an exclusion constraint builds its index under ACCESS EXCLUSIVE on {table}, and has no"
        " concurrent form",
        "-- put the constraint on a new table, copy the rows by a batched backfill, then let the"
        " application move",
    ),
    "foreign-key-scans": Advice(
        "error",
        "every write to {table} and to {referenced}, while all rows of {table} are compared",
        "a foreign key takes SHARE ROW EXCLUSIVE on both tables while it scans; writes stood still"
        " for 447 ms, with NOT VALID and VALIDATE for 34 ms",
        "{steps}",
    ),
    "column-with-foreign-key": Advice(
        "error",
        ALTERED + ", and every write to {referenced}, together",
        "ADD COLUMN … REFERENCES takes ACCESS EXCLUSIVE on {table} and, holding it, waits for"
        " {referenced}",
        "-- step: add {column} to {table}\nALTER TABLE {table} ADD COLUMN {column}"
        " {type};\n{steps}",
    ),
    "inline-foreign-key": Advice(
        "error",
        "every write to {referenced}, until the step ends",
        "REFERENCES inside CREATE TABLE takes SHARE ROW EXCLUSIVE on {referenced}, and keeps it to"
        " the step's end",
        "{steps}",
    ),
    "check-scans": Advice(
        "error",
        ALTERED + ", while all its rows are checked",
        "a CHECK added in one go scans {table} under ACCESS EXCLUSIVE",
        "-- step: new rows keep {name}\n"
        "ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({expression}) NOT VALID;\n"
        "-- step: validate {name}\n"
        "ALTER TABLE {table} VALIDATE CONSTRAINT {name};",
    ),
    "not-null-scans": Advice(
        "error",
        ALTERED + ", while all its rows are read",
        "SET NOT NULL scans {table} under ACCESS EXCLUSIVE, unless a validated CHECK proves it"
        " already; writes stood still for 684 ms, by way of the CHECK for 32 ms",
        "-- step: new rows have {column}\n"
        "ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID;\n"
        "-- step: validate {name}\n"
        "ALTER TABLE {table} VALIDATE CONSTRAINT {name};\n"
        "-- step: {column} is not null\n"
        "ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;\n"
        "ALTER TABLE {table} DROP CONSTRAINT {name};",
    ),
    "type-rewrites": Advice(
        "error",
        ALTERED + ", while the table and its indexes are written anew",
        "changing a column's type takes ACCESS EXCLUSIVE on {table} for the rewrite; writes stood"
        " still for 7,400 ms",
        "-- step: add {column}_new to {table}\nALTER TABLE {table} ADD COLUMN {column}_new"
        " {type};\n-- step: fill {column}_new of {table}  batched over {table}\nUPDATE {table} SET"
        " {column}_new = {column} WHERE <primary key> > $1 AND <primary key> <= $2;\n-- let the"
        " application write both columns first, and read {column}_new afterwards",
    ),
    "column-rewrites": Advice(
        "error",
        ALTERED + ", while the table is written anew",
        "{reason}, so ADD COLUMN rewrites {table} under ACCESS EXCLUSIVE; a constant default would"
        " rewrite nothing",
        "-- step: add {column} to {table}\n"
        "ALTER TABLE {table} ADD COLUMN {column} {type};\n"
        "-- step: default of {column}\n"
        "ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {expression};\n"
        "-- step: fill {column} of {table}  batched over {table}\n"
        "UPDATE {table} SET {column} = {expression}\n"
        "WHERE {column} IS NULL AND <primary key> > $1 AND <primary key> <= $2;",
    ),
    "required-column": Advice(
        "error",
        "every INSERT into {table} of an application that does not know {column}; where rows exist,"
        " it fails at once",
        "the column is NOT NULL and has no default",
        "-- step: add {column} to {table}\n"
        "ALTER TABLE {table} ADD COLUMN {column} {type};\n"
        "-- step: fill {column} of {table}  batched over {table}\n"
        "UPDATE {table} SET {column} = <value>\n"
        "WHERE {column} IS NULL AND <primary key> > $1 AND <primary key> <= $2;\n"
        "-- then NOT NULL by way of a validated CHECK, once the application writes the column",
    ),
    "table-rewrites": Advice(
        "error",
        ALTERED + ", while the table is written anew",
        "{kind} rewrites {table} under ACCESS EXCLUSIVE",
        "-- build a table beside it, fill it by a batched backfill, or use pg_repack",
    ),
    "validate-in-same-step": Advice(
        "error",
        ALTERED + ", while all its rows are checked",
        "the lock that ADD … NOT VALID took is held until the step ends, so VALIDATE scans under it"
        " and nothing is won",
        "-- step: validate {name}\nALTER TABLE {table} VALIDATE CONSTRAINT {name};",
    ),
    "many-strong-locks": Advice(
        "error",
        "whoever uses {tables}: the step holds the lock on one while it waits for the other",
        "two strong locks in one transaction add their waits, and can deadlock with an application"
        " that takes them the other way round",
        "{steps}",
    ),
    "unbatched-write": Advice(
        "error",
        "whoever changes the same rows of {table}, until the step ends; VACUUM cannot clean up"
        " behind it either",
        "{kind} touches every row it finds in one transaction",
        "-- step: {kind} {table}, in batches  batched over {table}\n"
        "{statement} {conjunction} <primary key> > $1 AND <primary key> <= $2;",
    ),
    "cascade": Advice(
        "error",
        "nobody, but it decides for you what else is dropped: columns of later phases, with their"
        " data, go too",
        "CASCADE drops whatever depends, unseen",
        "{safe}\n-- if something depends on it, this names it; drop that by a statement of its own,"
        " or keep both",
    ),
    "lock-table": Advice(
        "error",
        "all whose lock conflicts with {mode} on {table}, until the step ends",
        "statements take the locks they need; LOCK TABLE holds one for the whole step",
        "-- leave it out, and let each statement lock what it touches",
    ),
    "truncate": Advice(
        "error",
        ALTERED + "; its rows are gone even for transactions that should still see them",
        "TRUNCATE takes ACCESS EXCLUSIVE on {table} and is not MVCC-safe",
        "-- step: empty {table}  batched over {table}\n"
        "DELETE FROM {table} WHERE <primary key> > $1 AND <primary key> <= $2;",
    ),
    "vacuum-full": Advice(
        "error",
        ALTERED + ", while the table is written anew",
        "VACUUM FULL takes ACCESS EXCLUSIVE on {table}",
        "-- step: clean up {table}\nVACUUM (ANALYZE) {table};\n-- or pg_repack, which swaps the"
        " tables at the end",
    ),
    "cluster": Advice(
        "error",
        ALTERED + ", while the table is written anew",
        "CLUSTER takes ACCESS EXCLUSIVE on {table}",
        "-- use pg_repack, which swaps the tables at the end",
    ),
    "refresh-blocks": Advice(
        "error",
        "every read of {table}, while its query runs",
        "REFRESH MATERIALIZED VIEW takes ACCESS EXCLUSIVE on {table}",
        "-- step: refresh {table}\n"
        "REFRESH MATERIALIZED VIEW CONCURRENTLY {table};\n"
        "-- it needs a unique index over all rows of {table}",
    ),
    "rename-table": Advice(
        "error",
        "every statement of the application that says {table}, from the commit on",
        "an application that runs while we migrate knows the old name only",
        "-- step: {new} for what {table} is\nCREATE VIEW {new} WITH (security_invoker = true) AS"
        " SELECT * FROM {table};\n-- security_invoker (PostgreSQL 15): without it the view would"
        " show the rows of all tenants",
    ),
    "rename-column": Advice(
        "error",
        "every statement of the application that says {table}.{column}, from the commit on",
        "an application that runs while we migrate knows the old name only",
        "-- step: add {new} to {table}\n"
        "ALTER TABLE {table} ADD COLUMN {new} <type of {column}>;\n"
        "-- step: fill {new} of {table}  batched over {table}\n"
        "UPDATE {table} SET {new} = {column} WHERE <primary key> > $1 AND <primary key> <= $2;\n"
        "-- let the application write both, then read {new}, then stop writing {column}",
    ),
    "drop-column": Advice(
        "error",
        "every statement of the application that names {table}.{column}, from the commit on; its"
        " data is gone",
        "{table} existed before this migration, and the application that runs meanwhile may use the"
        " column",
        "-- step: the application no longer has to give {column}\n"
        "ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL;\n"
        "-- drop the column in a later migration, when no application uses it",
    ),
    "drop-table": Advice(
        "error",
        "every statement of the application that names {table}, from the commit on; its rows are"
        " gone",
        "{table} existed before this migration, and the application that runs meanwhile may use it",
        "-- keep the table; drop it in a later migration, when no application uses it",
    ),
    "trigger-shares-step": Advice(
        "error",
        "every write to {table}, until the step ends",
        "CREATE TRIGGER takes SHARE ROW EXCLUSIVE on {table}: brief when alone, else as long as the"
        " step",
        "-- step: {name} on {table}\n{statement};",
    ),
    "attach-scans": Advice(
        "warning",
        "every read and write of {table}, while all its rows are checked",
        "ATTACH PARTITION takes ACCESS EXCLUSIVE on {table} and scans it, unless a validated CHECK"
        " proves the bound; 501 ms against 0.9 ms",
        "-- step: {table} keeps its bound\n"
        "ALTER TABLE {table} ADD CONSTRAINT {name} CHECK (<the partition's bound>) NOT VALID;\n"
        "-- step: validate {name}\n"
        "ALTER TABLE {table} VALIDATE CONSTRAINT {name};\n"
        "-- step: attach {table}\n"
        "{statement};",
    ),
    "detach-blocks": Advice(
        "error",
        ALTERED + ", and all who queue behind its readers",
        "DETACH PARTITION takes ACCESS EXCLUSIVE on {table}",
        "-- step: detach {name}\nALTER TABLE {table} DETACH PARTITION {name} CONCURRENTLY;",
    ),
    "engine-setting": Advice(
        "error",
        "perhaps everybody: {name} is what keeps a step from being waited for",
        "the engine sets {name} for each step, by the environment's limits",
        "-- leave it out; limits stand in environments.toml",
    ),
    "hidden-exemption": Advice(
        "error",
        "nobody, but what it silences is not on record",
        "squawk's own comments exempt without a reason",
        "-- lint: allow <rule> because <reason>",
    ),
    "allowance-unclear": Advice(
        "error",
        "nobody, but it exempts nothing",
        "{reason}",
        "-- lint: allow <rule> because <reason>",
    ),
    "allowance-unused": Advice(
        "warning",
        "nobody",
        "nothing in this step breaks the rule {name}",
        "-- remove the line",
    ),
}
