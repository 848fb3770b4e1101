"""Side effects of the rehearsal are set apart: history tables, columns of a row type."""

from __future__ import annotations

import psycopg
import pytest
from workbench import Bench, limits

from mantis_runbook.backup import fingerprint
from mantis_runbook.postgres.connection import connect
from mantis_runbook.rehearsal.rehearsal import Rehearsal, rehearse

UP = """-- step: fresh
CREATE TABLE fresh (id integer PRIMARY KEY);
-- step: column
ALTER TABLE old ADD COLUMN extra text;
"""
DOWN = """-- step: gone
DROP TABLE IF EXISTS fresh;
-- step: column
ALTER TABLE old DROP COLUMN IF EXISTS extra;
"""

#: An event trigger that logs DDL, and a table that logs the log.
HISTORY = """
CREATE SCHEMA ops;
CREATE TABLE ops.ddl_history (id bigserial, tag text, of_id integer);
CREATE TABLE ops.history_of_history (id bigserial, what text) PARTITION BY RANGE (id);
CREATE TABLE ops.history_part PARTITION OF ops.history_of_history DEFAULT;
CREATE FUNCTION ops.log_log() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ops.history_of_history (what) VALUES (NEW.tag); RETURN NEW; END $$;
CREATE TRIGGER logged AFTER INSERT ON ops.ddl_history FOR EACH ROW EXECUTE FUNCTION ops.log_log();
INSERT INTO ops.ddl_history (tag) SELECT 'before ' || n FROM generate_series(1, 61) AS n;
CREATE FUNCTION ops.log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ops.ddl_history (tag) VALUES (tg_tag); $more$ END $$;
CREATE EVENT TRIGGER logs ON ddl_command_end EXECUTE FUNCTION ops.log_ddl();
"""


def rehearsed(bench: Bench, up: str = UP, down: str = DOWN) -> Rehearsal:
    migration = bench.migration(up, down, version="901")
    with connect(bench.target, "test") as connection:
        before = fingerprint.take(connection)
    return rehearse(bench.target, [migration], before, limits(), run="run-1", who="Ada")


def test_a_history_table_that_grows_because_a_migration_runs_is_named_and_fails_nothing(
    bench: Bench,
) -> None:
    bench.sql(HISTORY.replace("$more$", ""))
    done = rehearsed(bench)
    assert done.problems == []
    assert done.content.is_equal
    first, second = done.side_effects
    assert first.startswith("table ops.ddl_history (not touched by this migration) has ")
    assert first.endswith(
        " 61 before: something on this database writes to it when a migration runs"
    ), "the rows of before are compared, those that came are named"
    assert second.startswith("table ops.history_of_history ")


def test_a_row_of_before_that_changed_in_a_history_table_is_a_change(bench: Bench) -> None:
    bench.sql(
        HISTORY.replace("$more$", "UPDATE ops.ddl_history SET tag = 'overwritten' WHERE id = 7;")
    )
    done = rehearsed(bench)
    assert [verdict.table for verdict in done.content.differing] == ["ops.ddl_history"]
    assert "old columns changed: ops.ddl_history" in "; ".join(done.problems)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO old SELECT -count(*), 'one row more' FROM old",
        "UPDATE old SET name = 'other' WHERE id = 7",
        "DO $$ BEGIN INSERT INTO public.old SELECT -count(*), 'from a body' FROM public.old; END"
        " $$",
    ],
)
def test_a_table_that_the_migration_names_may_not_change(bench: Bench, statement: str) -> None:
    done = rehearsed(bench, f"{UP}-- step: rows\n{statement};\n")
    assert [verdict.table for verdict in done.content.differing] == ["public.old"]
    assert not done.side_effects


ROW_TYPES = """
CREATE DOMAIN as_it_was AS old;
CREATE TABLE holder (id integer PRIMARY KEY, org_id integer, one old, many old[], kept as_it_was);
INSERT INTO holder SELECT id, 7, o, ARRAY[o, NULL, o], o FROM old AS o WHERE id < 50;
INSERT INTO holder VALUES (1001, 7, NULL, NULL, NULL),
    (1002, 7, ROW(NULL, NULL, NULL), ARRAY[NULL]::old[], NULL);
"""


def test_columns_of_a_row_type_that_gains_a_field_are_compared_in_the_fields_of_before(
    bench: Bench,
) -> None:
    bench.sql(ROW_TYPES)
    done = rehearsed(bench)
    assert done.problems == []


@pytest.mark.parametrize(
    "change",
    [
        "SET one.name = 'other' WHERE id = 7",
        "SET many[1].name = 'other' WHERE id = 7",
        "SET many = many || many WHERE id = 7",
        "SET one = ROW(NULL, NULL, NULL, NULL) WHERE id = 1001",
        "SET many = ARRAY[ROW(NULL, NULL, NULL, NULL)]::old[] WHERE id = 1002",
    ],
)
def test_a_changed_field_in_a_column_of_a_row_type_is_a_change(bench: Bench, change: str) -> None:
    bench.sql(ROW_TYPES)
    done = rehearsed(bench, f"{UP}-- step: rows\nUPDATE holder {change};\n")
    assert [verdict.table for verdict in done.content.differing] == ["public.holder"]


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("ALTER TABLE old ADD extra text", False),
        ("ALTER TABLE old ADD extra text; ALTER TABLE old ALTER name SET NOT NULL", False),
        ("ALTER TABLE old ADD extra integer DEFAULT 7", True),
        ("ALTER TABLE old ADD extra timestamptz DEFAULT clock_timestamp()", True),
        ("ALTER TABLE old ALTER touched TYPE bigint", True),
    ],
)
def test_what_postgresql_refuses_while_a_column_holds_rows_of_the_table(
    bench: Bench, statement: str, refused: bool
) -> None:
    """What the check row_types_in_use says."""
    bench.sql("DELETE FROM old WHERE name IS NULL; CREATE TABLE holder (one old)")
    if not refused:
        bench.sql(statement)
        return
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="uses its row type"):
        bench.sql(statement)
