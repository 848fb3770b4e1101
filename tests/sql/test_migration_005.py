"""Migrations 005 and 006 on real servers: communication, partitions ahead of time, under writers;
validations broken.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from advanced import (
    acting,
    another,
    broken_steps,
    carry_out,
    found,
    migrated,
    one,
    organization,
    person,
    prepared,
    script,
    steps,
    template,
)
from conftest import fresh_database

from mantis_runbook.checks import named_checks
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.server import Server

ROOT = Path(__file__).parents[2]
FOUR = ("ai_message", "customer_interaction", "pipeline_execution", "system_metric")

BREAKS = {
    "005": [
        (
            "ALTER TABLE communication_log ALTER COLUMN status SET DEFAULT 'queued'",
            "communication_log.status text",
        ),
        (
            "ALTER TABLE communication_campaign DROP CONSTRAINT"
            " communication_campaign_counts_not_negative",
            "counts_not_negative",
        ),
        (
            "DROP INDEX idx_communication_log_recipient",
            "idx_communication_log_recipient on communication_log",
        ),
        (
            "DROP INDEX idx_communication_campaign_template",
            "without_index communication_campaign_template_id_fkey",
        ),
        (
            "ALTER TABLE communication_log DISABLE ROW LEVEL SECURITY",
            "communication_log, found row-level security is off",
        ),
        (
            "ALTER POLICY tenant_isolation ON communication_template USING (true)",
            "tenant_isolation on communication_template",
        ),
        ("CREATE POLICY all_in ON communication_log USING (true)", "not_ours all_in"),
        (
            "GRANT SELECT ON communication_campaign TO anon",
            "anon on communication_campaign: SELECT",
        ),
        (
            "DROP TRIGGER touch_updated_at ON communication_template",
            "touch_updated_at on communication_template",
        ),
        (
            "ALTER FUNCTION create_partitions_ahead(regclass, timestamptz, timestamptz, text)"
            " SECURITY DEFINER",
            "create_partitions_ahead",
        ),
        (
            "GRANT EXECUTE ON FUNCTION create_default_partition(regclass) TO authenticated",
            "authenticated create_default_partition",
        ),
        (
            "COMMENT ON COLUMN communication_log.recipient_email IS NULL",
            "communication_log.recipient_email",
        ),
        ("COMMENT ON TABLE communication_log IS NULL", "without_comment communication_log"),
        (
            "DROP TABLE communication_log_2027_q1",
            "communication_log: a gap before communication_log_2027_q2",
        ),
        ("DROP TABLE communication_log_default", "communication_log, found no default partition"),
        (
            "GRANT SELECT ON communication_log_default TO authenticated",
            "communication_log_default, found open to authenticated",
        ),
        (
            "ALTER TABLE communication_log_default DISABLE ROW LEVEL SECURITY",
            "communication_log_default, found row-level security",
        ),
        (
            "CREATE INDEX later ON ONLY communication_log (status)",
            "partition communication_log_2026_q4, found no index of later",
        ),
        (
            "ALTER TABLE communication_log DETACH PARTITION communication_log_2026_q4;"
            " DROP TABLE communication_log_2026_q4",
            "a message of today went to communication_log_default",
        ),
    ],
    "006": [
        ("DROP TABLE system_metric_2027_q1", "system_metric: a gap before system_metric_2027_q2"),
        ("DROP TABLE ai_message_default", "ai_message, found no default partition"),
        (
            "GRANT INSERT ON pipeline_execution_default TO anon",
            "pipeline_execution_default, found open to anon",
        ),
        ("CREATE INDEX later ON ONLY customer_interaction (subject)", "found no index of later"),
        (
            "DROP TABLE ai_message_2026_q4",
            "a row of today in ai_message went to ai_message_default",
        ),
    ],
}


@pytest.fixture(scope="module")
def shared(server: Server, baseline_template: str) -> Iterator[Connection]:
    """Tests leave nothing in it."""
    with migrated(server, baseline_template, "009") as connection:
        yield connection


def this_year(text: str) -> str:
    """The breaks are written for the fourth quarter of 2026."""
    now = time.gmtime()
    shift = now.tm_year * 4 + (now.tm_mon - 1) // 3 - (2026 * 4 + 3)
    for quarter in range(2026 * 4, 2027 * 4 + 4):
        year, number = divmod(quarter + shift, 4)
        text = text.replace(f"{quarter // 4}_q{quarter % 4 + 1}", f"{year}_Q{number + 1}")
    return text.replace("_Q", "_q")


@pytest.mark.parametrize("version", ["005", "006"])
def test_the_validation_names_what_was_broken(shared: Connection, version: str) -> None:
    assert found(shared, script(version, "validate")) == ""
    for statement, message in BREAKS[version]:
        with shared.transaction(force_rollback=True):
            shared.execute(this_year(statement))
            assert this_year(message) in found(shared, script(version, "validate")), statement


@pytest.mark.parametrize("version", ["005", "006"])
def test_every_step_of_the_validation_was_broken_once(shared: Connection, version: str) -> None:
    breaks = [(this_year(statement), message) for statement, message in BREAKS[version]]
    assert broken_steps(shared, version, breaks) == steps(version)


# -- communication ---------------------------------------------------------------------------------


def sent(connection: Connection, org: UUID, user: UUID) -> dict[str, UUID]:
    made = {"org": org, "user": user}
    made["template"] = one(
        connection,
        "INSERT INTO communication_template (org_id, name, template_type, content, created_by)"
        " VALUES (%(org)s, 'n', 'sms', 'c', %(user)s) RETURNING id",
        made,
    )
    made["campaign"] = one(
        connection,
        "INSERT INTO communication_campaign (org_id, name, template_id, created_by)"
        " VALUES (%(org)s, 'n', %(template)s, %(user)s) RETURNING id",
        made,
    )
    made["log"] = one(
        connection,
        "INSERT INTO communication_log (org_id, campaign_id, recipient_type, recipient_id,"
        " template_id, content) VALUES (%(org)s, %(campaign)s, 'lead', %(user)s, %(template)s, 'c')"
        " RETURNING id",
        made,
    )
    return made


def test_tenants_do_not_meet_in_communication(shared: Connection) -> None:
    with shared.transaction(force_rollback=True):
        ann, eve = (person(shared, organization(shared)) for _ in range(2))
        own, theirs = (sent(shared, who.org, who.id) for who in (ann, eve))
        for name in ("template", "campaign", "log"):
            table = f"communication_{name}"
            with acting(shared, ann):
                assert [row[0] for row in shared.execute(f'SELECT id FROM "{table}"')] == [
                    own[name]
                ]
                assert shared.execute(f'UPDATE "{table}" SET org_id = org_id').rowcount == 1
                assert (
                    shared.execute(f'DELETE FROM "{table}" WHERE id = %s', (theirs[name],)).rowcount
                    == 0
                )
            with acting(shared, ann), pytest.raises(psycopg.errors.InsufficientPrivilege):
                shared.execute(f'UPDATE "{table}" SET org_id = %s', (eve.org,))
            with acting(shared, None):
                assert one(shared, f'SELECT count(*) FROM "{table}"') == 0
            with acting(shared, ann, "anon"), pytest.raises(psycopg.errors.InsufficientPrivilege):
                shared.execute(f'SELECT FROM "{table}"')
        for partition in (
            "communication_log_default",
            this_year("communication_log_2026_q4"),
            "audit_log_later",
        ):
            with acting(shared, ann), pytest.raises(psycopg.errors.InsufficientPrivilege):
                shared.execute(f'SELECT FROM "{partition}"')
        with (
            acting(shared, ann),
            pytest.raises(psycopg.errors.ForeignKeyViolation, match="same organisation"),
        ):
            shared.execute("UPDATE communication_log SET template_id = %s", (theirs["template"],))
        with acting(shared, ann):
            sent(shared, ann.org, ann.id)


# -- partitions ------------------------------------------------------------------------------------


def test_a_row_of_today_is_refused_before_and_taken_after(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "005") as connection:
        insert = (
            "INSERT INTO system_metric (org_id, metric_name, metric_type, metric_value, timestamp)"
            " SELECT id, 'm', 'gauge', 1, now() FROM organization LIMIT 1"
        )
        with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
            connection.execute(insert)
        carry_out(connection, script("006"))
        connection.execute(insert)
        made = connection.execute(
            "SELECT part::text FROM partition_bounds('system_metric') ORDER BY low"
        ).fetchall()
        # After the four quarters of the baseline comes the present one: what is over gets none.
        assert [name for (name,) in made[3:6]] == [
            "system_metric_2025_q3",
            this_year("system_metric_2026_q4"),
            this_year("system_metric_2027_q1"),
        ]
        assert one(
            connection,
            "SELECT max(high) > now() + interval '6 months' FROM partition_bounds('system_metric')",
        )


def test_new_partitions_get_what_their_siblings_have_and_the_table_has_not(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "005") as connection:
        connection.execute(
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO anon, authenticated,"
            " service_role;CREATE INDEX only_there ON system_metric_2025_q3 (lower(metric_name))"
            " WHERE source IS NOT NULL;ALTER TABLE system_metric_2025_q3 SET"
            " (autovacuum_vacuum_scale_factor = 0.01);ALTER TABLE system_metric_2025_q3 ALTER"
            " COLUMN source SET STATISTICS 321"
        )
        carry_out(connection, script("006"))
        made = connection.execute(
            "SELECT reloptions, (SELECT count(*) FROM pg_index WHERE indrelid = pg_class.oid AND"
            " indpred IS NOT NULL), (SELECT attstattarget FROM pg_attribute WHERE attrelid ="
            " pg_class.oid AND attname = 'source'), has_table_privilege('anon', pg_class.oid,"
            " 'SELECT') FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent ="
            " 'system_metric'::regclass AND obj_description(inhrelid, 'pg_class') LIKE '%made by%'"
        ).fetchall()
        assert len(made) > 2
        assert set(map(str, made)) == {"(['autovacuum_vacuum_scale_factor=0.01'], 1, 321, False)"}


def test_inserts_go_on_while_partitions_are_attached(
    server: Server, baseline_template: str
) -> None:
    """Writers of old dates never fail; those of today fail before, and never again once the first
    one got through.
    """
    with migrated(server, baseline_template, "005") as connection:
        target = connection.execute("SELECT id, org_id FROM customer LIMIT 1").fetchone()
        over = threading.Event()
        told: dict[str, list[tuple[float, str]]] = {"2025-08-01": [], "now()": []}

        def write(dated: str) -> None:
            with another(connection) as session:
                while not over.is_set():
                    try:
                        session.execute(
                            "INSERT INTO customer_interaction (org_id, customer_id, channel, type,"
                            " content, timestamp) VALUES (%s, %s, 'chat', 'inquiry', 'under way', "
                            + ("now()" if dated == "now()" else f"'{dated}'")
                            + ")",
                            (target[1], target[0]),
                        )
                        told[dated].append((time.monotonic(), "taken"))
                    except psycopg.errors.CheckViolation:
                        told[dated].append((time.monotonic(), "refused"))

        writers = [threading.Thread(target=write, args=(dated,)) for dated in told]
        for writer in writers:
            writer.start()
        time.sleep(0.5)
        carry_out(connection, script("006"))
        time.sleep(0.5)
        over.set()
        for writer in writers:
            writer.join()
        assert {word for _, word in told["2025-08-01"]} == {"taken"}
        words = [word for _, word in told["now()"]]
        assert words[0] == "refused"
        assert words[-1] == "taken"
        assert "refused" not in words[words.index("taken") :]
        acknowledged = sum(word == "taken" for said in told.values() for _, word in said)
        assert (
            one(connection, "SELECT count(*) FROM customer_interaction WHERE content = 'under way'")
            == acknowledged
        )
        gaps = [b[0] - a[0] for said in told.values() for a, b in itertools.pairwise(said)]
        print(
            f"longest stall of a writer while partitions were attached: {max(gaps) * 1000:.0f} ms"
        )


def test_what_is_written_between_two_calls_moves_to_its_quarter_and_counts_once(
    server: Server, baseline_template: str
) -> None:
    with migrated(server, baseline_template, "006") as connection:
        pipeline = one(
            connection,
            "INSERT INTO automation_pipeline (org_id, name, trigger_type, trigger_config,"
            " action_config, created_by) SELECT org_id, 'p', 'manual', '{}', '{}', id FROM profile"
            " LIMIT 1 RETURNING id",
        )
        connection.execute(
            "INSERT INTO pipeline_execution (pipeline_id, started_at) SELECT %s, now() + n *"
            " interval '1 month' FROM generate_series(1, 60) AS n",
            (pipeline,),
        )
        waiting = one(connection, "SELECT count(*) FROM pipeline_execution_default")
        assert waiting > 40
        connection.execute(
            "SELECT create_partitions_ahead('pipeline_execution', now() + interval '4 years')"
        )
        assert 0 < one(connection, "SELECT count(*) FROM pipeline_execution_default") < 15
        assert (
            one(
                connection,
                "SELECT count(*) FROM pipeline_execution WHERE pipeline_id = %s",
                (pipeline,),
            )
            == 60
        )
        assert (
            one(
                connection,
                "SELECT execution_count FROM automation_pipeline WHERE id = %s",
                (pipeline,),
            )
            == 60
        )
        connection.execute("DELETE FROM pipeline_execution WHERE pipeline_id = %s", (pipeline,))
        assert (
            one(
                connection,
                "SELECT execution_count FROM automation_pipeline WHERE id = %s",
                (pipeline,),
            )
            == 0
        )


def test_no_call_of_a_dba_lets_others_queue_behind_it(
    server: Server, baseline_template: str
) -> None:
    with (
        migrated(server, baseline_template, "006") as connection,
        another(connection) as reader,
        another(connection) as dba,
    ):
        with reader.transaction():
            reader.execute("SELECT count(*) FROM ai_message_default")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                dba.execute(
                    "SELECT create_partitions_ahead('ai_message', now() + interval '3 years')"
                )
        dba.execute("SELECT create_partitions_ahead('ai_message', now() + interval '3 years')")
        assert one(dba, "SHOW lock_timeout") == "0"


def test_the_jobs_of_the_readme_run(server: Server, baseline_template: str) -> None:
    with migrated(server, baseline_template, "009") as connection:
        jobs = re.findall(r"^\| `(SELECT [^`]+)`", (ROOT / "README.md").read_text(), re.MULTILINE)
        assert len(jobs) == 2
        connection.execute("DROP TABLE " + this_year("ai_message_2027_q1"))
        for job in jobs:
            connection.execute(job)
        assert one(connection, this_year("SELECT to_regclass('ai_message_2027_q1') IS NOT NULL"))


def partition(name: str, parent: str, low: str, high: str) -> str:
    """A partition from and to so long after the beginning of the present quarter, in UTC."""
    return (
        f"DO $$ BEGIN EXECUTE format('CREATE TABLE {name} PARTITION OF {parent} FOR VALUES FROM"
        f" (%L) TO (%L)', (date_trunc('quarter', now() AT TIME ZONE 'UTC') + interval '{low}') AT"
        f" TIME ZONE 'UTC', (date_trunc('quarter', now() AT TIME ZONE 'UTC') + interval '{high}')"
        " AT TIME ZONE 'UTC'); END $$"
    )


WAYS = [
    (
        "CREATE TABLE ai_message_2026_q4 (a integer)",
        "table ai_message_2026_q4: no partition of anything",
    ),
    (
        "CREATE TABLE system_metric_default (a integer)",
        "table system_metric_default: no partition of anything",
    ),
    ("CREATE VIEW pipeline_execution_2027_q1 AS SELECT 1 AS a", "view pipeline_execution_2027_q1"),
    (
        partition("ai_message_2026_q4", "customer_interaction", "0", "3 months"),
        (
            "table ai_message_2026_q4: a partition of customer_interaction, where phase 4 makes a"
            " partition of ai_message"
        ),
    ),
    (
        partition("half", "customer_interaction", "0", "40 days"),
        "of customer_interaction only in part",
    ),
    (
        "CREATE TABLE audit_log_history (a integer)",
        "table audit_log_history: no partition of anything",
    ),
]


@pytest.mark.parametrize(("statement", "words"), WAYS, ids=[words[:40] for _, words in WAYS])
def test_a_partition_in_the_way_is_named_and_nothing_is_half_made(
    server: Server, baseline_template: str, statement: str, words: str
) -> None:
    with (
        fresh_database(server, template(server, baseline_template, "005")) as parameters,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        prepared(connection)
        connection.execute(this_year(statement))
        (result,) = named_checks.run(connection, 4, ["partitions_in_the_way"]).results
        assert result.verdict == "fail"
        assert [str(one) for one in result.found if this_year(words) in str(one)] != []
        if "audit_log" not in statement:
            with pytest.raises(psycopg.Error, match=r"in the way|only in part"):
                carry_out(connection, script("006"))
            carry_out(connection, script("006", "rollback"))
            assert (
                one(
                    connection,
                    "SELECT count(*) FROM pg_description WHERE description LIKE 'Partition of"
                    " system_metric%'",
                )
                == 0
            )


def test_whole_partitions_of_other_lengths_are_kept(server: Server, baseline_template: str) -> None:
    with migrated(server, baseline_template, "005") as connection:
        connection.execute(partition("own_month", "ai_message", "0", "1 month"))
        connection.execute(partition("own_months", "ai_message", "1 month", "6 months"))
        assert named_checks.run(connection, 4, ["partitions_in_the_way"]).verdict == "pass"
        carry_out(connection, script("006"))
        assert one(
            connection,
            this_year(
                "SELECT to_regclass('ai_message_2027_q2') IS NOT NULL AND"
                " to_regclass('ai_message_2027_q1') IS NULL"
            ),
        )
        carry_out(connection, script("006", "rollback"))
        assert (
            one(
                connection,
                "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ai_message'::regclass",
            )
            == 6
        )
