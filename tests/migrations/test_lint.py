"""What would block a running system is refused, and the refusal teaches the safe way."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mantis_runbook.errors import MigrationFileError
from mantis_runbook.migrations.files import Migration, load, parse_statements
from mantis_runbook.migrations.lint import squawk
from mantis_runbook.migrations.lint.lint import Finding, lint, refuse_unsafe
from mantis_runbook.migrations.lint.lock_model import Scene, strong_locks
from mantis_runbook.migrations.lint.messages import ADVICE
from mantis_runbook.postgres import programs
from mantis_runbook.postgres.connection import Connection

MIGRATIONS = Path(__file__).parent.parent / "data" / "migrations"

Written = Callable[..., Migration]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A migration 002 of one step named s, or of the steps that the text brings along."""

    def write(text: str, rollback: str = "SELECT 1;", validation: str = "SELECT 1;") -> Migration:
        for role, body in (("", text), ("_rollback", rollback), ("_validate", validation)):
            header = "-- Migration 002: X\n-- phase: 2\n"
            steps = body if body.startswith("-- step:") else f"-- step: s\n{body}"
            (tmp_path / f"002_x{role}.sql").write_text(f"{header}{steps}\n")
        return load(tmp_path)[0]

    return write


def rules(findings: tuple[Finding, ...]) -> list[str]:
    """The rules of what refuses."""
    return [one.rule for one in findings if one.refuses]


def test_the_small_migrations_block_nobody() -> None:
    assert [lint(one) for one in load(MIGRATIONS)] == [(), (), ()]


# What is refused, and how it reads
# -------------------------------------------------------------------------------

UNSAFE = {
    "index-blocks-writes": (
        (
            "CREATE UNIQUE INDEX customer_email ON customer (org_id, lower(email)) WHERE email IS"
            " NOT NULL;"
        ),
        (
            "002_x.sql:4: index-blocks-writes in step 's': CREATE UNIQUE INDEX customer_email ON"
            " customer\n  blocks: every write to customer, for the whole build\n  why: CREATE INDEX"
            " takes SHARE on customer; writes stood still for 2,118 ms, with CONCURRENTLY for 38"
            " ms\n  instead:\n    -- step: build customer_email\n    CREATE UNIQUE INDEX"
            " CONCURRENTLY customer_email ON customer USING btree (org_id, lower(email)) WHERE"
            " email IS NOT NULL;\n"
        ),
    ),
    "drop-index-blocks": (
        "DROP INDEX idx_customer_email;",
        (
            "002_x.sql:4: drop-index-blocks in step 's': DROP INDEX idx_customer_email\n  blocks:"
            " every read and write of the table of idx_customer_email, and all who queue behind its"
            " readers\n  why: DROP INDEX takes ACCESS EXCLUSIVE on the index's table\n  instead:\n "
            "   -- step: drop idx_customer_email\n    DROP INDEX CONCURRENTLY idx_customer_email;\n"
        ),
    ),
    "reindex-blocks": (
        "REINDEX TABLE customer;",
        (
            "002_x.sql:4: reindex-blocks in step 's': REINDEX TABLE customer\n  blocks: every write"
            " to the table, and reads that would use the index, for the whole build\n  why: REINDEX"
            " without CONCURRENTLY takes SHARE on the table and ACCESS EXCLUSIVE on the index\n "
            " instead:\n    -- step: rebuild customer\n    REINDEX TABLE CONCURRENTLY customer;\n"
        ),
    ),
    "constraint-builds-index": (
        "ALTER TABLE customer ADD UNIQUE (org_id, email);",
        (
            "002_x.sql:4: constraint-builds-index in step 's': ALTER TABLE customer ADD UNIQUE\n "
            " blocks: every read and write of customer, while an index is built\n  why: a UNIQUE"
            " added in one go builds its index under ACCESS EXCLUSIVE on customer\n  instead:\n   "
            " -- step: build customer_org_id_email_key\n    CREATE UNIQUE INDEX CONCURRENTLY"
            " customer_org_id_email_key ON customer (org_id, email);\n    -- step:"
            " customer_org_id_email_key as a constraint\n    ALTER TABLE customer ADD CONSTRAINT"
            " customer_org_id_email_key UNIQUE USING INDEX customer_org_id_email_key;\n"
        ),
    ),
    "exclusion-builds-index": (
        "ALTER TABLE customer ADD EXCLUDE USING gist (id WITH =);",
        (
            "002_x.sql:4: exclusion-builds-index in step 's': ALTER TABLE customer ADD EXCLUDE\n "
            " blocks: every read and write of customer, while an index is built\n  why: an"
            " exclusion constraint builds its index under ACCESS EXCLUSIVE on customer, and has no"
            " concurrent form\n  instead:\n    -- put the constraint on a new table, copy the rows"
            " by a batched backfill, then let the application move\n"
        ),
    ),
    "foreign-key-scans": (
        (
            "ALTER TABLE customer ADD FOREIGN KEY (owner_id) REFERENCES profile (id) ON DELETE SET"
            " NULL;"
        ),
        (
            "002_x.sql:4: foreign-key-scans in step 's': ALTER TABLE customer ADD FOREIGN KEY\n "
            " blocks: every write to customer and to profile, while all rows of customer are"
            " compared\n  why: a foreign key takes SHARE ROW EXCLUSIVE on both tables while it"
            " scans; writes stood still for 447 ms, with NOT VALID and VALIDATE for 34 ms\n "
            " instead:\n    -- step: customer refers to profile\n    ALTER TABLE customer ADD"
            " CONSTRAINT customer_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES profile (id) ON"
            " DELETE SET NULL NOT VALID;\n    -- step: validate customer_owner_id_fkey\n    ALTER"
            " TABLE customer VALIDATE CONSTRAINT customer_owner_id_fkey;\n"
        ),
    ),
    "column-with-foreign-key": (
        "ALTER TABLE customer ADD COLUMN owner_id uuid REFERENCES profile;",
        (
            "002_x.sql:4: column-with-foreign-key in step 's': ALTER TABLE customer ADD COLUMN"
            " owner_id uuid REFERENCES profile\n  blocks: every read and write of customer, and"
            " every write to profile, together\n  why: ADD COLUMN … REFERENCES takes ACCESS"
            " EXCLUSIVE on customer and, holding it, waits for profile\n  instead:\n    -- step:"
            " add owner_id to customer\n    ALTER TABLE customer ADD COLUMN owner_id uuid;\n    --"
            " step: customer refers to profile\n    ALTER TABLE customer ADD CONSTRAINT"
            " customer_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES profile NOT VALID;\n    --"
            " step: validate customer_owner_id_fkey\n    ALTER TABLE customer VALIDATE CONSTRAINT"
            " customer_owner_id_fkey;\n"
        ),
    ),
    "inline-foreign-key": (
        "CREATE TABLE note (id uuid, customer_id uuid REFERENCES customer (id) ON DELETE CASCADE);",
        (
            "002_x.sql:4: inline-foreign-key in step 's': CREATE TABLE note\n  blocks: every write"
            " to customer, until the step ends\n  why: REFERENCES inside CREATE TABLE takes SHARE"
            " ROW EXCLUSIVE on customer, and keeps it to the step's end\n  instead:\n    -- step:"
            " note\n    CREATE TABLE note (…);  -- its columns and checks, without REFERENCES"
            " customer\n    -- step: note refers to customer\n    ALTER TABLE note ADD CONSTRAINT"
            " note_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE"
            " CASCADE NOT VALID;\n    -- step: validate note_customer_id_fkey\n    ALTER TABLE note"
            " VALIDATE CONSTRAINT note_customer_id_fkey;\n"
        ),
    ),
    "check-scans": (
        "ALTER TABLE customer ADD CONSTRAINT customer_has_name CHECK (name <> '');",
        (
            "002_x.sql:4: check-scans in step 's': ALTER TABLE customer ADD CONSTRAINT"
            " customer_has_name CHECK\n  blocks: every read and write of customer, while all its"
            " rows are checked\n  why: a CHECK added in one go scans customer under ACCESS"
            " EXCLUSIVE\n  instead:\n    -- step: new rows keep customer_has_name\n    ALTER TABLE"
            " customer ADD CONSTRAINT customer_has_name CHECK (name <> '') NOT VALID;\n    -- step:"
            " validate customer_has_name\n    ALTER TABLE customer VALIDATE CONSTRAINT"
            " customer_has_name;\n"
        ),
    ),
    "not-null-scans": (
        "ALTER TABLE customer ALTER COLUMN email SET NOT NULL;",
        (
            "002_x.sql:4: not-null-scans in step 's': ALTER TABLE customer ALTER COLUMN email SET"
            " NOT NULL\n  blocks: every read and write of customer, while all its rows are read\n "
            " why: SET NOT NULL scans customer under ACCESS EXCLUSIVE, unless a validated CHECK"
            " proves it already; writes stood still for 684 ms, by way of the CHECK for 32 ms\n "
            " instead:\n    -- step: new rows have email\n    ALTER TABLE customer ADD CONSTRAINT"
            " customer_email_not_null CHECK (email IS NOT NULL) NOT VALID;\n    -- step: validate"
            " customer_email_not_null\n    ALTER TABLE customer VALIDATE CONSTRAINT"
            " customer_email_not_null;\n    -- step: email is not null\n    ALTER TABLE customer"
            " ALTER COLUMN email SET NOT NULL;\n    ALTER TABLE customer DROP CONSTRAINT"
            " customer_email_not_null;\n"
        ),
    ),
    "type-rewrites": (
        "ALTER TABLE customer ALTER COLUMN credit TYPE numeric(12,2);",
        (
            "002_x.sql:4: type-rewrites in step 's': ALTER TABLE customer ALTER COLUMN credit TYPE"
            " numeric\n  blocks: every read and write of customer, while the table and its indexes"
            " are written anew\n  why: changing a column's type takes ACCESS EXCLUSIVE on customer"
            " for the rewrite; writes stood still for 7,400 ms\n  instead:\n    -- step: add"
            " credit_new to customer\n    ALTER TABLE customer ADD COLUMN credit_new numeric(12,"
            " 2);\n    -- step: fill credit_new of customer  batched over customer\n    UPDATE"
            " customer SET credit_new = credit WHERE <primary key> > $1 AND <primary key> <= $2;\n "
            "   -- let the application write both columns first, and read credit_new afterwards\n"
        ),
    ),
    "column-rewrites": (
        "ALTER TABLE customer ADD COLUMN token uuid DEFAULT gen_random_uuid();",
        (
            "002_x.sql:4: column-rewrites in step 's': ALTER TABLE customer ADD COLUMN token uuid"
            " DEFAULT gen_random_uuid\n  blocks: every read and write of customer, while the table"
            " is written anew\n  why: the default calls gen_random_uuid(), which may differ for"
            " each row, so ADD COLUMN rewrites customer under ACCESS EXCLUSIVE; a constant default"
            " would rewrite nothing\n  instead:\n    -- step: add token to customer\n    ALTER"
            " TABLE customer ADD COLUMN token uuid;\n    -- step: default of token\n    ALTER TABLE"
            " customer ALTER COLUMN token SET DEFAULT gen_random_uuid();\n    -- step: fill token"
            " of customer  batched over customer\n    UPDATE customer SET token ="
            " gen_random_uuid()\n    WHERE token IS NULL AND <primary key> > $1 AND <primary key>"
            " <= $2;\n"
        ),
    ),
    "required-column": (
        "ALTER TABLE customer ADD COLUMN tier text NOT NULL;",
        (
            "002_x.sql:4: required-column in step 's': ALTER TABLE customer ADD COLUMN tier text"
            " NOT NULL\n  blocks: every INSERT into customer of an application that does not know"
            " tier; where rows exist, it fails at once\n  why: the column is NOT NULL and has no"
            " default\n  instead:\n    -- step: add tier to customer\n    ALTER TABLE customer ADD"
            " COLUMN tier text;\n    -- step: fill tier of customer  batched over customer\n   "
            " UPDATE customer SET tier = <value>\n    WHERE tier IS NULL AND <primary key> > $1 AND"
            " <primary key> <= $2;\n    -- then NOT NULL by way of a validated CHECK, once the"
            " application writes the column\n"
        ),
    ),
    "table-rewrites": (
        "ALTER TABLE customer SET TABLESPACE fast;",
        (
            "002_x.sql:4: table-rewrites in step 's': ALTER TABLE customer SET TABLESPACE fast\n"
            "  blocks: every read and write of customer, while the table is written anew\n"
            "  why: SET TABLESPACE rewrites customer under ACCESS EXCLUSIVE\n"
            "  instead:\n"
            "    -- build a table beside it, fill it by a batched backfill, or use pg_repack\n"
        ),
    ),
    "validate-in-same-step": (
        (
            "ALTER TABLE customer ADD CONSTRAINT c CHECK (name <> '') NOT VALID; ALTER TABLE"
            " customer VALIDATE CONSTRAINT c;"
        ),
        (
            "002_x.sql:4: validate-in-same-step in step 's': ALTER TABLE customer VALIDATE"
            " CONSTRAINT c\n  blocks: every read and write of customer, while all its rows are"
            " checked\n  why: the lock that ADD … NOT VALID took is held until the step ends, so"
            " VALIDATE scans under it and nothing is won\n  instead:\n    -- step: validate c\n   "
            " ALTER TABLE customer VALIDATE CONSTRAINT c;\n"
        ),
    ),
    "many-strong-locks": (
        "ALTER TABLE customer ADD COLUMN a int; ALTER TABLE supplier ADD COLUMN a int;",
        (
            "002_x.sql:4: many-strong-locks in step 's': ALTER TABLE supplier ADD COLUMN a int\n "
            " blocks: whoever uses customer and supplier: the step holds the lock on one while it"
            " waits for the other\n  why: two strong locks in one transaction add their waits, and"
            " can deadlock with an application that takes them the other way round\n  instead:\n   "
            " -- step: ALTER TABLE customer ADD COLUMN a int\n    ALTER TABLE customer ADD COLUMN a"
            " int;\n    -- step: ALTER TABLE supplier ADD COLUMN a int\n    ALTER TABLE supplier"
            " ADD COLUMN a int;\n"
        ),
    ),
    "unbatched-write": (
        "UPDATE customer SET status = 'active' WHERE status IS NULL;",
        (
            "002_x.sql:4: unbatched-write in step 's': UPDATE customer\n  blocks: whoever changes"
            " the same rows of customer, until the step ends; VACUUM cannot clean up behind it"
            " either\n  why: UPDATE touches every row it finds in one transaction\n  instead:\n   "
            " -- step: UPDATE customer, in batches  batched over customer\n    UPDATE customer SET"
            " status = 'active' WHERE status IS NULL AND <primary key> > $1 AND <primary key> <="
            " $2;\n"
        ),
    ),
    "cascade": (
        "DROP TYPE mood CASCADE;",
        (
            "002_x.sql:4: cascade in step 's': DROP TYPE mood CASCADE\n  blocks: nobody, but it"
            " decides for you what else is dropped: columns of later phases, with their data, go"
            " too\n  why: CASCADE drops whatever depends, unseen\n  instead:\n    DROP TYPE mood;\n"
            "    -- if something depends on it, this names it; drop that by a statement of its own,"
            " or keep both\n"
        ),
    ),
    "lock-table": (
        "LOCK TABLE customer IN SHARE MODE;",
        (
            "002_x.sql:4: lock-table in step 's': LOCK TABLE customer IN SHARE MODE\n"
            "  blocks: all whose lock conflicts with SHARE on customer, until the step ends\n"
            "  why: statements take the locks they need; LOCK TABLE holds one for the whole step\n"
            "  instead:\n"
            "    -- leave it out, and let each statement lock what it touches\n"
        ),
    ),
    "truncate": (
        "TRUNCATE customer;",
        (
            "002_x.sql:4: truncate in step 's': TRUNCATE customer\n  blocks: every read and write"
            " of customer; its rows are gone even for transactions that should still see them\n "
            " why: TRUNCATE takes ACCESS EXCLUSIVE on customer and is not MVCC-safe\n  instead:\n  "
            "  -- step: empty customer  batched over customer\n    DELETE FROM customer WHERE"
            " <primary key> > $1 AND <primary key> <= $2;\n"
        ),
    ),
    "vacuum-full": (
        "VACUUM FULL customer;",
        (
            "002_x.sql:4: vacuum-full in step 's': VACUUM FULL customer\n"
            "  blocks: every read and write of customer, while the table is written anew\n"
            "  why: VACUUM FULL takes ACCESS EXCLUSIVE on customer\n"
            "  instead:\n"
            "    -- step: clean up customer\n"
            "    VACUUM (ANALYZE) customer;\n"
            "    -- or pg_repack, which swaps the tables at the end\n"
        ),
    ),
    "cluster": (
        "CLUSTER customer USING customer_pkey;",
        (
            "002_x.sql:4: cluster in step 's': CLUSTER customer\n"
            "  blocks: every read and write of customer, while the table is written anew\n"
            "  why: CLUSTER takes ACCESS EXCLUSIVE on customer\n"
            "  instead:\n"
            "    -- use pg_repack, which swaps the tables at the end\n"
        ),
    ),
    "refresh-blocks": (
        "REFRESH MATERIALIZED VIEW sales;",
        (
            "002_x.sql:4: refresh-blocks in step 's': REFRESH MATERIALIZED VIEW sales\n"
            "  blocks: every read of sales, while its query runs\n"
            "  why: REFRESH MATERIALIZED VIEW takes ACCESS EXCLUSIVE on sales\n"
            "  instead:\n"
            "    -- step: refresh sales\n"
            "    REFRESH MATERIALIZED VIEW CONCURRENTLY sales;\n"
            "    -- it needs a unique index over all rows of sales\n"
        ),
    ),
    "rename-table": (
        "ALTER TABLE customer RENAME TO client;",
        (
            "002_x.sql:4: rename-table in step 's': ALTER TABLE customer RENAME TO client\n "
            " blocks: every statement of the application that says customer, from the commit on\n "
            " why: an application that runs while we migrate knows the old name only\n  instead:\n "
            "   -- step: client for what customer is\n    CREATE VIEW client WITH (security_invoker"
            " = true) AS SELECT * FROM customer;\n    -- security_invoker (PostgreSQL 15): without"
            " it the view would show the rows of all tenants\n"
        ),
    ),
    "rename-column": (
        "ALTER TABLE customer RENAME COLUMN name TO title;",
        (
            "002_x.sql:4: rename-column in step 's': ALTER TABLE customer RENAME COLUMN name TO"
            " title\n  blocks: every statement of the application that says customer.name, from the"
            " commit on\n  why: an application that runs while we migrate knows the old name only\n"
            "  instead:\n    -- step: add title to customer\n    ALTER TABLE customer ADD COLUMN"
            " title <type of name>;\n    -- step: fill title of customer  batched over customer\n  "
            "  UPDATE customer SET title = name WHERE <primary key> > $1 AND <primary key> <= $2;\n"
            "    -- let the application write both, then read title, then stop writing name\n"
        ),
    ),
    "drop-column": (
        "ALTER TABLE customer DROP COLUMN name;",
        (
            "002_x.sql:4: drop-column in step 's': ALTER TABLE customer DROP COLUMN name\n  blocks:"
            " every statement of the application that names customer.name, from the commit on; its"
            " data is gone\n  why: customer existed before this migration, and the application that"
            " runs meanwhile may use the column\n  instead:\n    -- step: the application no longer"
            " has to give name\n    ALTER TABLE customer ALTER COLUMN name DROP NOT NULL;\n    --"
            " drop the column in a later migration, when no application uses it\n"
        ),
    ),
    "drop-table": (
        "DROP TABLE customer;",
        (
            "002_x.sql:4: drop-table in step 's': DROP TABLE customer\n  blocks: every statement of"
            " the application that names customer, from the commit on; its rows are gone\n  why:"
            " customer existed before this migration, and the application that runs meanwhile may"
            " use it\n  instead:\n    -- keep the table; drop it in a later migration, when no"
            " application uses it\n"
        ),
    ),
    "trigger-shares-step": (
        (
            "CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION f(); CREATE"
            " TABLE x (a int);"
        ),
        (
            "002_x.sql:4: trigger-shares-step in step 's': CREATE TRIGGER t ON customer\n  blocks:"
            " every write to customer, until the step ends\n  why: CREATE TRIGGER takes SHARE ROW"
            " EXCLUSIVE on customer: brief when alone, else as long as the step\n  instead:\n    --"
            " step: t on customer\n    CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW"
            " EXECUTE FUNCTION f();\n"
        ),
    ),
    "attach-scans": (
        (
            "ALTER TABLE audit_log ATTACH PARTITION audit_log_old FOR VALUES FROM (MINVALUE) TO"
            " ('2026-01-01');"
        ),
        (
            "002_x.sql:4: attach-scans in step 's': ALTER TABLE audit_log ATTACH PARTITION"
            " audit_log_old FOR VALUES FROM\n  blocks: every read and write of audit_log_old, while"
            " all its rows are checked\n  why: ATTACH PARTITION takes ACCESS EXCLUSIVE on"
            " audit_log_old and scans it, unless a validated CHECK proves the bound; 501 ms against"
            " 0.9 ms\n  instead:\n    -- step: audit_log_old keeps its bound\n    ALTER TABLE"
            " audit_log_old ADD CONSTRAINT audit_log_old_bound CHECK (<the partition's bound>) NOT"
            " VALID;\n    -- step: validate audit_log_old_bound\n    ALTER TABLE audit_log_old"
            " VALIDATE CONSTRAINT audit_log_old_bound;\n    -- step: attach audit_log_old\n   "
            " ALTER TABLE audit_log ATTACH PARTITION audit_log_old FOR VALUES FROM (MINVALUE) TO"
            " ('2026-01-01');\n"
        ),
    ),
    "detach-blocks": (
        "ALTER TABLE audit_log DETACH PARTITION audit_log_old;",
        (
            "002_x.sql:4: detach-blocks in step 's': ALTER TABLE audit_log DETACH PARTITION"
            " audit_log_old\n  blocks: every read and write of audit_log, and all who queue behind"
            " its readers\n  why: DETACH PARTITION takes ACCESS EXCLUSIVE on audit_log\n "
            " instead:\n    -- step: detach audit_log_old\n    ALTER TABLE audit_log DETACH"
            " PARTITION audit_log_old CONCURRENTLY;\n"
        ),
    ),
    "engine-setting": (
        "SET LOCAL lock_timeout = 0;",
        (
            "002_x.sql:4: engine-setting in step 's': SET LOCAL lock_timeout = 0\n"
            "  blocks: perhaps everybody: lock_timeout is what keeps a step from being waited for\n"
            "  why: the engine sets lock_timeout for each step, by the environment's limits\n"
            "  instead:\n"
            "    -- leave it out; limits stand in environments.toml\n"
        ),
    ),
    "hidden-exemption": (
        "-- squawk-ignore ban-drop-column\nSELECT 1;",
        (
            "002_x.sql:4: hidden-exemption in step 's': -- squawk-ignore ban-drop-column\n"
            "  blocks: nobody, but what it silences is not on record\n"
            "  why: squawk's own comments exempt without a reason\n"
            "  instead:\n"
            "    -- lint: allow <rule> because <reason>\n"
        ),
    ),
    "allowance-unclear": (
        "-- lint: allow truncate\nSELECT 1;",
        (
            "002_x.sql:4: allowance-unclear in step 's': -- lint: allow truncate\n"
            "  blocks: nobody, but it exempts nothing\n"
            "  why: an exemption names a rule and a reason\n"
            "  instead:\n"
            "    -- lint: allow <rule> because <reason>\n"
        ),
    ),
    "allowance-unused": (
        "-- lint: allow truncate because it is empty\nSELECT 1;",
        (
            "002_x.sql:4: allowance-unused in step 's': -- lint: allow truncate because it is"
            " empty\n  blocks: nobody\n  why: nothing in this step breaks the rule truncate\n "
            " instead:\n    -- remove the line\n"
        ),
    ),
}


def test_every_rule_of_the_catalogue_is_broken_below() -> None:
    assert set(UNSAFE) == set(ADVICE)


@pytest.mark.parametrize(
    ("rule", "text", "expected"), [(rule, *case) for rule, case in UNSAFE.items()], ids=UNSAFE
)
def test_a_finding_teaches(rule: str, text: str, expected: str, written: Written) -> None:
    found = [one for one in lint(written(text)) if one.rule == rule]
    assert "".join(f"{one}\n" for one in found) == expected
    assert [one.severity for one in found] == [ADVICE[rule].severity]


def taught_steps(rule: str) -> str:
    """The complete steps in what a finding teaches; "" for advice in words."""
    advice = UNSAFE[rule][1].partition("  instead:\n")[2]
    return advice if "-- step:" in advice and "…" not in advice else ""


@pytest.mark.parametrize("rule", [rule for rule in UNSAFE if taught_steps(rule)])
def test_the_steps_that_a_finding_teaches_are_safe_themselves(rule: str, written: Written) -> None:
    [found] = [one for one in lint(written(UNSAFE[rule][0])) if one.rule == rule]
    taught = found.instead
    for words, example in (
        ("<primary key>", "id"),
        ("<value>", "'x'"),
        ("<the partition's bound>", "a < 1"),
    ):
        taught = taught.replace(words, example)
    taught = re.sub("<type of .*>", "text", taught)
    assert rules(lint(written(taught))) == []


MORE_UNSAFE = {
    "CREATE INDEX ON customer (a);": ["index-blocks-writes"],
    "REINDEX INDEX customer_pkey;": ["reindex-blocks"],
    "REINDEX DATABASE mantis;": ["reindex-blocks"],
    "ALTER TABLE customer ADD PRIMARY KEY (id);": ["constraint-builds-index"],
    "ALTER TABLE customer ADD COLUMN a int UNIQUE;": ["constraint-builds-index"],
    "ALTER TABLE customer ADD COLUMN a int CHECK (a > 0);": ["check-scans"],
    "ALTER TABLE customer ADD CONSTRAINT c NOT NULL email;": ["not-null-scans"],
    "ALTER TABLE customer ADD COLUMN a serial;": ["column-rewrites"],
    "ALTER TABLE customer ADD COLUMN a int GENERATED ALWAYS AS IDENTITY;": ["column-rewrites"],
    "ALTER TABLE customer ADD COLUMN a int GENERATED ALWAYS AS (b + 1) STORED;": [
        "column-rewrites"
    ],
    "ALTER TABLE customer ADD COLUMN a timestamptz DEFAULT clock_timestamp();": ["column-rewrites"],
    "ALTER TABLE customer ADD COLUMN a int DEFAULT app.f();": ["column-rewrites"],
    "ALTER TABLE customer ADD COLUMN a int, ALTER COLUMN b SET NOT NULL;": ["not-null-scans"],
    "ALTER TABLE public.customer ALTER COLUMN b TYPE text;": ["type-rewrites"],
    "ALTER TABLE customer SET UNLOGGED;": ["table-rewrites"],
    "DELETE FROM customer;": ["unbatched-write"],
    "WITH gone AS (DELETE FROM customer RETURNING id) SELECT count(*) FROM gone;": [
        "unbatched-write"
    ],
    "MERGE INTO customer USING x ON true WHEN MATCHED THEN UPDATE SET a = 1;": ["unbatched-write"],
    "DO $$ BEGIN IF true THEN UPDATE customer SET a = 1; END IF; END $$;": ["unbatched-write"],
    "DO $$ BEGIN EXECUTE 'DROP TABLE customer CASCADE'; END $$;": ["drop-table", "cascade"],
    "DROP SCHEMA app CASCADE;": ["cascade"],
    "ALTER TABLE customer DROP CONSTRAINT c CASCADE;": ["cascade"],
    "REVOKE SELECT ON customer FROM r CASCADE;": ["cascade"],
    "TRUNCATE customer, supplier;": ["truncate", "truncate"],
    "VACUUM FULL;": ["vacuum-full"],
    "CLUSTER;": ["cluster"],
    "SET statement_timeout = 0;": ["engine-setting"],
    "RESET ALL;": ["engine-setting"],
    "RESET lock_timeout;": ["engine-setting"],
    "CREATE TABLE a (b uuid REFERENCES customer, c uuid REFERENCES supplier);": (
        ["inline-foreign-key"] * 2
    ),
    "ALTER TABLE customer ADD COLUMN a int;\nCREATE POLICY p ON supplier USING (true);": [
        "many-strong-locks"
    ],
    "CREATE TRIGGER t BEFORE UPDATE ON customer EXECUTE FUNCTION f();\nSELECT pg_sleep(9);": [
        "trigger-shares-step"
    ],
    "ALTER TABLE auth.users RENAME TO people;": ["rename-table"],
    "CREATE TABLE IF NOT EXISTS customer (a int);\nCREATE INDEX i ON customer (a);": [
        "index-blocks-writes"
    ],
    "DROP DATABASE other;": ["ban-drop-database"],
    "CREATE TABLE a (b text);\nDROP TABLE a;\nDROP TABLE b;": ["drop-table"],
}


@pytest.mark.parametrize(("text", "expected"), MORE_UNSAFE.items())
def test_what_blocks_is_refused(text: str, expected: list[str], written: Written) -> None:
    assert rules(lint(written(text))) == expected


SAFE = {
    "an index of a new table": "CREATE TABLE a (b int);\nCREATE INDEX a_b ON a (b);",
    "an index of a table made in an earlier step": (
        "-- step: a\nCREATE TABLE a (b int);\n-- step: b\nCREATE INDEX a_b ON public.a (b);"
    ),
    "an index of a table made from a query": (
        "CREATE TABLE a AS SELECT 1 AS b;\nCREATE INDEX a_b ON a (b);"
    ),
    "an index of a temporary table": "CREATE TEMP TABLE a (b int);\nCREATE INDEX a_b ON a (b);",
    "an index built concurrently": "CREATE INDEX CONCURRENTLY i ON customer (a);",
    "an index dropped concurrently": "DROP INDEX CONCURRENTLY i;",
    "a foreign key between new tables": (
        "CREATE TABLE a (b int PRIMARY KEY);\nCREATE TABLE c (d int REFERENCES a);"
    ),
    "a table that refers to itself": "CREATE TABLE a (id int PRIMARY KEY, up int REFERENCES a);",
    "a foreign key from a new, empty table": (
        "-- step: a\nCREATE TABLE a (b uuid);\n-- step: b\nALTER TABLE a ADD FOREIGN KEY (b)"
        " REFERENCES customer;"
    ),
    "a foreign key not valid, between two existing tables": (
        "ALTER TABLE customer ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES profile NOT VALID;"
    ),
    "a foreign key validated later": (
        "-- step: a\nALTER TABLE customer ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES profile NOT"
        " VALID;\n-- step: b\nALTER TABLE customer VALIDATE CONSTRAINT f;"
    ),
    "not null by way of a validated check": (
        "-- step: a\nALTER TABLE customer ADD CONSTRAINT c CHECK (a IS NOT NULL AND a > 0) NOT"
        " VALID;\n-- step: b\nALTER TABLE customer VALIDATE CONSTRAINT c;\n-- step: c\nALTER TABLE"
        " customer ALTER COLUMN a SET NOT NULL;"
    ),
    "a column with a constant": "ALTER TABLE customer ADD COLUMN a text NOT NULL DEFAULT 'x';",
    "a column with the time of the transaction": (
        "ALTER TABLE customer ADD COLUMN a timestamptz DEFAULT now();"
    ),
    "a column with the standard's time": (
        "ALTER TABLE customer ADD COLUMN a timestamptz DEFAULT current_timestamp;"
    ),
    "a constraint from an index": "ALTER TABLE customer ADD CONSTRAINT u UNIQUE USING INDEX i;",
    "a backfill": (
        "-- step: f  batched over customer\nUPDATE customer SET a = 1 WHERE id > $1 AND id <= $2;"
    ),
    "an insert": "INSERT INTO customer SELECT * FROM x;",
    "a merge that only inserts": (
        "MERGE INTO customer USING x ON true WHEN NOT MATCHED THEN INSERT VALUES (1);"
    ),
    "an update that touches nothing": "UPDATE customer SET a = a WHERE false;",
    "a trigger alone": "CREATE TRIGGER t BEFORE UPDATE ON customer EXECUTE FUNCTION f();",
    "triggers on one table, with a comment": (
        "CREATE TRIGGER t BEFORE UPDATE ON customer EXECUTE FUNCTION f();\n"
        "CREATE TRIGGER u BEFORE DELETE ON customer EXECUTE FUNCTION f();\n"
        "COMMENT ON TRIGGER t ON customer IS 'x';"
    ),
    "what a function would do": (
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql SET lock_timeout = '1s' BEGIN ATOMIC DELETE"
        " FROM customer; END;"
    ),
    "a partition with a proven bound": (
        "-- step: a\nALTER TABLE old ADD CONSTRAINT c CHECK (a < 1) NOT VALID;\n"
        "-- step: b\nALTER TABLE old VALIDATE CONSTRAINT c;\n"
        "-- step: c\nALTER TABLE log ATTACH PARTITION old DEFAULT;"
    ),
    "ON DELETE CASCADE": (
        "ALTER TABLE customer ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES profile ON DELETE CASCADE"
        " NOT VALID;"
    ),
    "an extension with what it needs": "CREATE EXTENSION earthdistance CASCADE;",
    "a new table dropped again": (
        "CREATE TABLE a (b int);\nALTER TABLE a RENAME TO c;\nDROP TABLE c;"
    ),
    "a setting that is not the engine's": "SET LOCAL work_mem = '64MB';",
}


@pytest.mark.parametrize("text", SAFE.values(), ids=SAFE)
def test_what_blocks_nobody_is_not_refused(text: str, written: Written) -> None:
    assert rules(lint(written(text))) == []


def test_a_rollback_may_drop_what_the_migration_made(written: Written) -> None:
    up = "-- step: a\nCREATE TABLE a (b int);\n-- step: b\nALTER TABLE customer ADD COLUMN b int;"
    rollback = "-- step: b\nALTER TABLE customer DROP COLUMN b;\n-- step: a\nDROP TABLE a;"
    assert lint(written(up, rollback)) == ()


def test_a_rollback_is_judged_for_locks_and_cascade(written: Written) -> None:
    up = (
        "-- step: a\nCREATE TABLE a (b uuid, c uuid);\n-- step: b\nALTER TABLE a ADD CONSTRAINT a_b"
        " FOREIGN KEY (b) REFERENCES customer NOT VALID;\n-- step: c\nALTER TABLE a ADD CONSTRAINT"
        " a_c FOREIGN KEY (c) REFERENCES supplier NOT VALID;\n-- step: d\nCREATE INDEX CONCURRENTLY"
        " customer_x ON customer (x);"
    )
    together = (
        "ALTER TABLE a DROP CONSTRAINT a_b;\nALTER TABLE a DROP CONSTRAINT a_c;\nDROP TABLE a;"
    )
    apart = (
        "-- step: b\nALTER TABLE a DROP CONSTRAINT a_b;\n-- step: c\nALTER TABLE a DROP CONSTRAINT"
        " a_c;\n-- step: a\nDROP TABLE a;\n-- step: d\nDROP INDEX CONCURRENTLY customer_x;"
    )
    assert rules(lint(written(up, apart))) == []
    assert rules(lint(written(up, together))) == ["many-strong-locks"]
    assert rules(lint(written(up, "DROP TABLE a CASCADE;"))) == ["cascade"]
    assert rules(lint(written(up, "DROP INDEX customer_x;"))) == ["drop-index-blocks"]


def test_a_validation_is_searched_for_cascade_alone(written: Written) -> None:
    assert (
        rules(lint(written("SELECT 1;", validation="DO $$ BEGIN DELETE FROM customer; END $$;")))
        == []
    )
    assert rules(lint(written("SELECT 1;", validation="DROP TYPE t CASCADE;"))) == ["cascade"]


def test_a_finding_in_a_do_block_names_the_statement_and_the_block(written: Written) -> None:
    [found] = lint(written("SELECT 1;\nDO $$\nBEGIN\n  TRUNCATE customer;\nEND $$;"))
    assert (found.rule, found.line, found.statement) == (
        "truncate",
        5,
        "TRUNCATE customer, in the DO block of line 5",
    )


# Refusing and exempting
# ------------------------------------------------------------------------------------------


def test_a_refusal_holds_all_errors_and_says_how_to_exempt(written: Written) -> None:
    migration = written(
        "TRUNCATE customer;\nLOCK TABLE supplier;", rollback="DROP TABLE customer CASCADE;"
    )
    with pytest.raises(MigrationFileError) as refused:
        refuse_unsafe(migration)
    lines = str(refused.value).splitlines()
    assert lines[0] == "migration 002 x: 4 statements would harm the running system"
    assert [line for line in lines if line.startswith("002_x")] == [
        "002_x.sql:4: truncate in step 's': TRUNCATE customer",
        "002_x.sql:5: lock-table in step 's': LOCK TABLE supplier",
        "002_x.sql:5: many-strong-locks in step 's': LOCK TABLE supplier",
        "002_x_rollback.sql:4: cascade in step 's': DROP TABLE customer CASCADE",
    ]
    assert (
        lines[-1]
        == "change the files, or exempt a statement in its step: -- lint: allow <rule> because"
        " <reason>"
    )


def test_warnings_refuse_nothing(written: Written) -> None:
    migration = written("CREATE TABLE a (b char(3), c timestamp);")
    assert [(one.rule, one.severity) for one in lint(migration)] == [
        ("ban-char-field", "warning"),
        ("prefer-timestamp-tz", "warning"),
    ]
    refuse_unsafe(migration)


def test_an_exemption_is_recorded_with_its_reason(written: Written) -> None:
    migration = written("-- lint: allow truncate because it holds three rows\nTRUNCATE customer;")
    [found] = lint(migration)
    assert (found.rule, found.refuses, found.allowed_because) == (
        "truncate",
        False,
        "it holds three rows",
    )
    assert str(found).endswith("  allowed because it holds three rows")
    refuse_unsafe(migration)


NOT_EXEMPT = {
    "of another rule": ("-- lint: allow cascade because x\nTRUNCATE customer;", ["truncate"]),
    "of another step": (
        "-- step: a\n-- lint: allow truncate because x\nSELECT 1;\n-- step: b\nTRUNCATE customer;",
        ["truncate"],
    ),
    "in the header": (
        "-- lint: allow truncate because x\n-- step: a\nTRUNCATE customer;",
        ["allowance-unclear", "truncate"],
    ),
    "without a reason": (
        "-- lint: allow truncate\nTRUNCATE customer;",
        ["allowance-unclear", "truncate"],
    ),
    "in a string": (
        "SELECT '\n-- lint: allow truncate because x\n';\nTRUNCATE customer;",
        ["truncate"],
    ),
    "of all rules": ("-- lint: off\nTRUNCATE customer;", ["allowance-unclear", "truncate"]),
}


@pytest.mark.parametrize(("text", "expected"), NOT_EXEMPT.values(), ids=NOT_EXEMPT)
def test_an_exemption_holds_for_its_rule_in_its_step_with_a_reason(
    text: str, expected: list[str], tmp_path: Path
) -> None:
    steps = text if "-- step:" in text else f"-- step: s\n{text}"
    (tmp_path / "002_x.sql").write_text(f"-- Migration 002: X\n-- phase: 2\n{steps}\n")
    for role in ("_rollback", "_validate"):
        (tmp_path / f"002_x{role}.sql").write_text("-- step: s\nSELECT 1;\n")
    assert rules(lint(load(tmp_path)[0])) == expected


def test_without_squawk_nothing_passes(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = written("SELECT 1;")
    monkeypatch.setattr(programs, "on_path", lambda _: None)
    with pytest.raises(
        programs.ProgramMissing, match="squawk was not found; install it: pip install squawk-cli"
    ):
        lint(migration)


def test_a_configuration_of_squawk_nearby_silences_nothing(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["ban-char-field"]\n')
    monkeypatch.chdir(tmp_path)
    assert [one.rule for one in lint(written("CREATE TABLE a (b char(3));"))] == ["ban-char-field"]


def test_squawks_lines_are_ours() -> None:
    [remark] = squawk.remarks("-- é\n\nCREATE TABLE a (\n  b char(3)\n);\n", "x.sql")
    assert (remark.rule, remark.line) == ("ban-char-field", 4)


# The locks that lint believes in
# ---------------------------------------------------------------------------------

STRONG = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"]
LOCKING = {
    "CREATE INDEX i ON one (a)": {"one"},
    "CREATE TRIGGER t BEFORE UPDATE ON one FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()": {
        "one"
    },
    "CREATE POLICY p ON one USING (true)": {"one"},
    "CREATE TABLE new (a int REFERENCES one)": {"one"},
    "CREATE TABLE new (a int REFERENCES one, b int REFERENCES two)": {"one", "two"},
    "CREATE TABLE new PARTITION OF parent FOR VALUES IN (7)": {"parent"},
    "CREATE TABLE new (LIKE one)": set(),
    "ALTER TABLE one ADD COLUMN z int": {"one"},
    "ALTER TABLE one ADD COLUMN z int REFERENCES two": {"one", "two"},
    "ALTER TABLE one ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES two NOT VALID": {"one", "two"},
    "ALTER TABLE one VALIDATE CONSTRAINT pending": set(),
    "ALTER TABLE one ALTER COLUMN a SET STATISTICS 200": set(),
    "ALTER TABLE one SET (fillfactor = 90)": set(),
    "ALTER TABLE one ENABLE ROW LEVEL SECURITY": {"one"},
    "ALTER TABLE one DISABLE TRIGGER USER": {"one"},
    "ALTER TABLE one OWNER TO CURRENT_USER": {"one"},
    "ALTER TABLE one RENAME TO uno": {"one"},
    "ALTER TABLE one RENAME COLUMN a TO z": {"one"},
    "ALTER TABLE one SET SCHEMA public": {"one"},
    "ALTER TABLE parent ATTACH PARTITION single FOR VALUES IN (9)": {"single"},
    "ALTER TABLE parent DETACH PARTITION part": {"parent"},
    "DROP TABLE two": {"two"},
    "DROP TRIGGER kept ON one": {"one"},
    "DROP POLICY kept ON one": {"one"},
    "TRUNCATE one, single": {"one", "single"},
    "LOCK TABLE one IN SHARE UPDATE EXCLUSIVE MODE": set(),
    "LOCK TABLE one IN SHARE MODE": {"one"},
    "CLUSTER one USING one_pkey": {"one"},
    "COMMENT ON TABLE one IS 'x'": set(),
    "GRANT SELECT ON one TO PUBLIC": set(),
    "UPDATE one SET a = 1": set(),
    "CREATE VIEW v AS SELECT * FROM one": set(),
    "ANALYZE one": set(),
}
GROUND = """
CREATE TABLE one (a int PRIMARY KEY); CREATE TABLE two (a int PRIMARY KEY);
CREATE TABLE single (a int);
CREATE TABLE parent (a int) PARTITION BY LIST (a);
CREATE TABLE part PARTITION OF parent FOR VALUES IN (1);
ALTER TABLE one ADD CONSTRAINT pending CHECK (a > 0) NOT VALID;
CREATE POLICY kept ON one USING (true);
CREATE TRIGGER kept BEFORE UPDATE ON one
    FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
"""


@pytest.fixture
def ground(baseline: Connection) -> Connection:
    """A database with tables to lock."""
    baseline.execute("CREATE SCHEMA ground")
    baseline.execute("SET search_path = ground")
    for statement in GROUND.replace("\n", " ").split(";")[:-1]:
        baseline.execute(statement)
    return baseline


def locked_by(connection: Connection, statement: str) -> set[str]:
    """The tables of the ground that a statement locks strongly, by the server's own account."""
    before = dict(
        connection.execute(
            "SELECT oid, relname FROM pg_class"
            " WHERE relnamespace = 'ground'::regnamespace AND relkind IN ('r', 'p')"
        ).fetchall()
    )
    with connection.transaction(force_rollback=True):
        connection.execute(statement)
        held = connection.execute(
            "SELECT relation FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
            " AND mode = ANY (%s)",
            (STRONG,),
        ).fetchall()
    return {before[oid] for (oid,) in held if oid in before}


def test_the_server_takes_the_strong_locks_that_lint_expects(ground: Connection) -> None:
    for text, expected in LOCKING.items():
        assert strong_locks(parse_statements(text)[0], Scene()) == expected, text
        taken = locked_by(ground, text)
        if "DETACH" in text:
            taken -= {"part"}
        assert taken == expected, text
