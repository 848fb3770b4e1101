"""A database compared with itself: what was broken before warns, what got worse fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from stages import Climbed, climbed

from mantis_runbook import settings
from mantis_runbook.checks import compatibility, described_statements, promises, worsened
from mantis_runbook.checks.footing import Footing
from mantis_runbook.checks.learnt_statements import Learnt, LearntStatement
from mantis_runbook.checks.promises import Before
from mantis_runbook.checks.tenants import acts_as, attempt, isolation
from mantis_runbook.checks.tenants.acting import Guise
from mantis_runbook.checks.tenants.attempt import Crossing
from mantis_runbook.checks.tenants.isolation import Separation
from mantis_runbook.engine import ledger
from mantis_runbook.engine.engine import Engine
from mantis_runbook.engine.fence import hold
from mantis_runbook.errors import Inconclusive, ParameterError
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.postgres.catalog import Catalog, snapshot
from mantis_runbook.postgres.connection import Connection, connect
from mantis_runbook.postgres.server import Server
from mantis_runbook.postgres.target import Target
from tests.checks.test_tenant_isolation import OPENED, ROUNDS

NOTHING = Learnt(unavailable="the extension is not there")

#: The one function that every policy of the baseline asks, reading other settings.
ORGANISATION = """
    CREATE OR REPLACE FUNCTION current_org_id() RETURNS uuid
        LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = public, pg_temp AS $f$ BEGIN RETURN ({}); END $f$
"""

#: What an installation reads, and how sessions then act.
READ = {
    "a setting with the organisation": (
        "SELECT nullif(current_setting('app.current_org_id', true), '')::uuid",
        "app.current_org_id (org)",
    ),
    "a setting that is cast as it is": (
        "SELECT current_setting('app.current_org_id', true)::uuid",
        "app.current_org_id (org)",
    ),
    "claims": (
        "SELECT (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->"
        " 'app_metadata' ->> 'org_id')::uuid",
        "request.jwt.claims (claims)",
    ),
    "a name that says nothing": (
        "SELECT nullif(current_setting('house.key', true), '')::uuid",
        "house.key (org)",
    ),
    "a name that misleads": (
        "SELECT org_id FROM profile WHERE id = nullif(current_setting('app.tenant', true),"
        " '')::uuid",
        "app.tenant (user)",
    ),
}

#: Broken in ways that real installations are: each is named, and none is a failure.
BROKEN_BEFORE = """
    CREATE FUNCTION audit_by_org() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO audit_log (org_id, action, table_name)
            VALUES (NEW.org_id, ''UPDATE'', ''x''); RETURN NEW; END';
    CREATE TRIGGER audit_by_org AFTER INSERT ON ticket_comment
        FOR EACH ROW EXECUTE FUNCTION audit_by_org();
    CREATE VIEW never_worked AS SELECT 1 / (count(*) - count(*)) AS share FROM customer;
    GRANT SELECT ON never_worked TO authenticated;
    CREATE VIEW opened_long_ago AS SELECT * FROM customer;
    GRANT SELECT ON opened_long_ago TO authenticated;
    CREATE TABLE parcel (org_id uuid REFERENCES organization,
        at date NOT NULL CHECK (at > '3000-01-01'));
    ALTER TABLE parcel ENABLE ROW LEVEL SECURITY;
    ALTER TABLE inventory_item DROP COLUMN barcode;
    DROP FUNCTION global_search;
    DROP VIEW v_organization_overview;
    CREATE VIEW v_organization_overview WITH (security_invoker = true)
        AS SELECT id, name FROM organization;
"""


@pytest.fixture
def done(server: Server) -> Climbed:
    return climbed(server)


@pytest.fixture
def migrated(done: Climbed) -> Iterator[Connection]:
    """A transaction on the database with all migrations, which is rolled back."""
    with done.connect() as connection, connection.transaction(force_rollback=True):
        yield connection


def failed(separation: Separation) -> list[str]:
    return [f"{one.table}: {one.attempt}: {one.found}" for one in separation.leaks]


# -- sessions act as this installation's tenants ---------------------------------------------------


@pytest.mark.parametrize("way", READ)
def test_sessions_set_what_the_policies_read(baseline: Connection, way: str) -> None:
    """Each of these showed nothing, or a false leak, while sessions set the same two settings
    everywhere.
    """
    body, told = READ[way]
    baseline.execute(ORGANISATION.format(body))
    baseline.execute(
        "ALTER POLICY profile_of_own_organization ON profile USING (id = auth.uid() OR org_id ="
        " (SELECT current_org_id()))"
    )
    shown = isolation.prove(baseline)
    assert (failed(shown), shown.verdict) == ([], "pass")
    assert told in shown.acts.summary
    assert compatibility.run(baseline, None).failures == ()


def test_users_may_have_their_organisation_from_another_table(server: Server) -> None:
    with (
        climbed(server, "extended").connect() as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute(
            ORGANISATION.format("SELECT org_id FROM auth.users_extended WHERE id = auth.uid()")
        )
        connection.execute(
            "UPDATE auth.users_extended AS u SET org_id = p.org_id FROM profile AS p WHERE p.id ="
            " u.id"
        )
        assert failed(isolation.prove(connection, only=["customer", "supplier", "invoice"])) == []


def test_a_setting_that_nobody_knows_is_named_and_is_no_leak(
    migrated: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ("USING", "WITH CHECK"):
        migrated.execute(
            f"ALTER POLICY supplier_of_own_organization ON supplier {command}"
            " (md5(org_id::text) = current_setting('app.secret', true))"
        )
    shown = isolation.prove(migrated, only=["supplier", "customer"])
    assert {one.verdict for one in shown.leaks} == {"inconclusive"}
    assert {one.table for one in shown.leaks} == {"supplier"}
    assert (
        "nobody knows what app.secret must hold: say so in MANTIS_RUNBOOK_ACTS_AS"
        in shown.acts.summary
    )
    migrated.execute("ALTER POLICY supplier_of_own_organization ON supplier USING (true)")
    leaks = isolation.prove(migrated, only=["supplier"]).leaks
    assert any(
        one.attempt == "read the other tenant's rows" and one.verdict == "fail" for one in leaks
    )
    monkeypatch.setenv(acts_as.VARIABLE, "app.secret=org")
    assert isolation.prove(migrated, only=["customer"]).acts.kinds["app.secret"] == "org"


@pytest.mark.parametrize(
    "value",
    ["app.secret", "secret=org", "app.secret=nonsense", "a.b=org a.b=user", "a.b=org;c.d=user"],
)
def test_what_the_operator_says_is_read_strictly(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(acts_as.VARIABLE, value)
    with pytest.raises(ParameterError, match=acts_as.VARIABLE):
        acts_as.given()


def test_an_organisation_that_is_text_is_an_organisation(migrated: Connection) -> None:
    migrated.execute(
        "CREATE TABLE memo (id uuid DEFAULT gen_random_uuid(), org_id text NOT NULL, body text);"
        "INSERT INTO memo (org_id, body) SELECT id::text, 'x' FROM organization;"
        "ALTER TABLE memo ENABLE ROW LEVEL SECURITY; GRANT ALL ON memo TO authenticated;"
        "CREATE POLICY own ON memo USING (org_id = (SELECT current_org_id())::text)"
    )
    assert failed(isolation.prove(migrated, only=["memo"])) == []
    migrated.execute("ALTER POLICY own ON memo USING (true)")
    assert any(
        "read anybody else's rows" in one
        for one in failed(isolation.prove(migrated, only=["memo"]))
    )


def test_a_row_is_made_for_a_table_that_nobody_told_us_of(migrated: Connection) -> None:
    migrated.execute(
        "CREATE TABLE visit (id uuid PRIMARY KEY, org_id uuid NOT NULL REFERENCES organization,"
        " customer_id uuid NOT NULL REFERENCES customer, by uuid NOT NULL REFERENCES profile, note"
        " text, at date NOT NULL, kind po_status NOT NULL, price numeric(8,2) NOT NULL);GRANT ALL"
        " ON visit TO authenticated"
    )
    said = failed(isolation.prove(migrated, only=["visit"]))
    assert "visit: read the other tenant's rows: 1" in said
    migrated.execute("ALTER TABLE visit ENABLE ROW LEVEL SECURITY")
    migrated.execute("CREATE POLICY own ON visit USING (org_id = (SELECT current_org_id()))")
    assert failed(isolation.prove(migrated, only=["visit"])) == []


def test_roles_that_do_not_exist_are_said(migrated: Connection) -> None:
    migrated.execute("ALTER ROLE anon RENAME TO anon_no_more")
    shown = isolation.prove(migrated, only=["customer", "get_widget_data(uuid)", "v_user_profile"])
    assert (failed(shown), shown.notes) == (
        [],
        ("nothing was tried as nobody: there is no role anon",),
    )
    migrated.execute("ALTER ROLE authenticated RENAME TO authenticated_no_more")
    with pytest.raises(Inconclusive, match="there is no role authenticated"):
        isolation.prove(migrated)


# -- bounded ---------------------------------------------------------------------------------------


def test_what_takes_minutes_is_inconclusive_and_never_apart(
    migrated: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "LIMIT_S", 0.2)
    migrated.execute(
        "CREATE VIEW slow WITH (security_invoker = true) AS SELECT org_id, pg_sleep(0.1)::text AS"
        " slept FROM audit_log;GRANT SELECT ON slow TO authenticated;CREATE FUNCTION slow_too(uuid)"
        " RETURNS text LANGUAGE sql AS 'SELECT pg_sleep(1)::text'"
    )
    shown = isolation.prove(migrated, only=["slow", "slow_too(uuid)"])
    ended = [one for one in shown.attempts if one.found.startswith("57014")]
    assert {one.table for one in ended} == {"slow", "slow_too(uuid)"}
    assert {one.verdict for one in ended} == {"inconclusive"}
    assert migrated.execute("SHOW statement_timeout").fetchone() == ("0",)


@pytest.mark.parametrize(("changed", "verdict"), [(True, "inconclusive"), (False, "warn")])
def test_a_limit_that_was_reached_is_never_equal_to_another(changed: bool, verdict: str) -> None:
    ended = Separation(
        (Crossing("slow", "read as nobody", "57014: canceling statement", "inconclusive"),)
    )
    found = weighed(ended, ended, is_unchanged=not changed)
    assert [one.verdict for one in found] == [verdict]


# -- before and after ------------------------------------------------------------------------------


def weighed(
    before: Separation | None,
    after: Separation,
    *,
    is_unchanged: bool = False,
    is_new: bool = False,
    is_ours: bool = True,
) -> list[worsened.Finding]:
    return worsened.isolation(
        before,
        after,
        is_unchanged=lambda _: is_unchanged,
        is_new=lambda _: is_new,
        is_ours=lambda _: is_ours,
    )


LEAK = Crossing("t", "read the other tenant's rows", "3", "fail")
ERROR = Crossing("t", "read the other tenant's rows", "42P01: relation is gone", "fail")
APART = Crossing("t", "read the other tenant's rows", "0", "pass")
NONE = Crossing("t", "reach a row of another tenant", "there is none to reach for", "inconclusive")


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (APART, APART, "pass"),
        (APART, LEAK, "fail"),
        (APART, ERROR, "fail"),
        (LEAK, LEAK, "warn"),
        (ERROR, ERROR, "warn"),
        (ERROR, LEAK, "fail"),
        (LEAK, ERROR, "warn"),
        (LEAK, APART, "pass"),
        (NONE, NONE, "warn"),
        (NONE, LEAK, "fail"),
        (APART, NONE, "inconclusive"),
    ],
)
def test_only_what_got_worse_fails(before: Crossing, after: Crossing, verdict: str) -> None:
    found = weighed(Separation((before,)), Separation((after,)))
    assert worsened.word(found) == verdict
    assert all(worsened.BEFORE in one.found for one in worsened.warnings(found))


def test_what_a_migration_made_has_to_keep_the_whole_promise() -> None:
    assert worsened.word(weighed(None, Separation((LEAK,)), is_new=True)) == "fail"
    assert worsened.word(weighed(None, Separation((LEAK,)), is_new=True, is_ours=False)) == "warn"


@pytest.fixture
def broken(database: Target) -> Target:
    """An installation that is broken in many ways before anything is applied."""
    with connect(database, "test") as connection:
        ledger.install(connection)
        connection.execute(BROKEN_BEFORE)
    return database


def test_what_was_broken_before_the_first_migration_is_a_warning_and_what_got_worse_fails(
    broken: Target,
) -> None:
    asked = LearntStatement(
        1, "SELECT name, notes FROM supplier WHERE org_id = $1", 7, "authenticated"
    )
    before = promises.before(broken, Learnt((asked,)))
    said = [str(one) for one in before.findings]
    for words in (
        'ticket_comment: insert an own row: as authenticated: record "new" has no field "org_id"',
        "never_worked: read the other tenant's mark: 22012: division by zero",
        "opened_long_ago: read around the policies",
        "parcel: reach a row of another tenant: there is none to reach for",
        "functions as authenticated: global_search: not applicable here: 42883",
        "views as authenticated: v_organization_overview: not applicable here: 42703",
    ):
        assert [one for one in said if one.startswith(words)], (words, said)
    with hold(broken, "test", "test") as fence:
        Engine(broken, settings.environment("development"), "test", "test", fence).up(
            migration_files.load()[0]
        )
    after = promises.kept(broken, before)
    assert (after.problems, after.doubts) == ([], [])
    assert all(worsened.BEFORE in one or "not applicable here" in one for one in after.warnings)
    assert {record["verdict"] for record in after.isolation} == {"pass", "warn"}

    kept = Before.from_dict(before.as_dict(), before.catalog)
    assert (kept.findings, kept.described) == (before.findings, before.described)
    with connect(broken, "test") as connection:
        connection.execute(
            "ALTER POLICY customer_of_own_organization ON customer USING (true); DROP VIEW"
            " v_recent_activity;ALTER TABLE supplier DROP COLUMN notes"
        )
    problems = promises.kept(broken, kept).problems
    for words in (
        "tenant isolation is broken: customer: read the other tenant's rows: ",
        "the old application would not work: view public.v_recent_activity: is gone",
        (
            "the old application would not work: statement of the application (7 calls as"
            " authenticated): SELECT name, notes FROM supplier WHERE org_id = $1: 42703"
        ),
        "the old application would not work: tables as authenticated: supplier: ",
    ):
        assert [one for one in problems if one.startswith(words)], (words, problems)
    assert not [
        one
        for one in problems
        if one.startswith(("opened_long_ago", "never_worked", "ticket_comment", "parcel"))
    ]


def test_one_tenant_alone_was_so_before(database: Target) -> None:
    with connect(database, "test") as connection:
        ledger.install(connection)
        connection.execute(
            "UPDATE profile SET is_active = false WHERE org_id <> (SELECT org_id FROM profile ORDER"
            " BY id LIMIT 1)"
        )
    before = promises.before(database, NOTHING)
    assert "1 organisation(s) with an active user" in before.untried
    after = promises.kept(database, before)
    assert (after.problems, [one for one in after.doubts if "catalogue" not in one]) == ([], [])
    assert any(
        "tenant isolation was not shown" in one and worsened.BEFORE in one for one in after.warnings
    )
    doubts = promises.kept(database, replace(before, untried="")).doubts
    assert any("found 1 organisation(s) with an active user" in one for one in doubts)


# -- the application's own statements --------------------------------------------------------------

ASKED = {
    "SELECT * FROM notification WHERE user_id = $1": (
        "ALTER TABLE notification ALTER COLUMN expires_at TYPE text"
    ),
    "UPDATE dashboard SET view_count = view_count + $1 WHERE id = $2": (
        "ALTER TABLE dashboard ALTER COLUMN view_count TYPE bigint"
    ),
    "SELECT title FROM support_ticket WHERE id = $1": (
        "REVOKE SELECT ON support_ticket FROM authenticated"
    ),
    "INSERT INTO data_import (org_id, file_name, created_by) VALUES ($1, $2, $3)": (
        "ALTER TABLE data_import RENAME COLUMN file_name TO file"
    ),
    "SELECT name FROM customer": "",
    "SELECT * FROM alert_rule": "ALTER TABLE alert_rule ADD COLUMN more text",
    "SELECT no_such_column FROM customer": "",
}


def test_a_statement_that_is_described_otherwise_is_found(migrated: Connection) -> None:
    learnt = [
        LearntStatement(number, text, 1, "authenticated") for number, text in enumerate(ASKED)
    ]
    learnt.append(LearntStatement(99, "SELECT 1", 1, "somebody who left"))
    migrated.execute("DROP VIEW IF EXISTS v_ai_workspace_stats CASCADE")
    before = described_statements.describe(migrated, learnt, Guise())
    assert before.left_out == {"there is no role somebody who left": 1}
    assert [one.text for one in before.statements if one.error] == [
        "SELECT no_such_column FROM customer"
    ]
    for change in filter(None, ASKED.values()):
        migrated.execute(change)
    worse = {
        one.text: why
        for one, why in described_statements.worse(
            before, described_statements.describe(migrated, before.statements, Guise())
        )
    }
    assert list(worse) == list(ASKED)[:4]
    assert (
        "expires_at timestamp with time zone"
        in worse["SELECT * FROM notification WHERE user_id = $1"]
    )
    assert worse["SELECT title FROM support_ticket WHERE id = $1"].startswith("42501")


# -- the catalogue is asked first ------------------------------------------------------------------


@pytest.mark.parametrize("number", ROUNDS)
def test_no_way_that_was_opened_rests_on_an_earlier_proof(
    migrated: Connection, done: Climbed, number: int
) -> None:
    ways = [
        way
        for at, way in enumerate(OPENED)
        if [one[1] for one in OPENED[:at]].count(way[1]) == number
    ]
    before = _all_of(done)
    for statement, _, _ in ways:
        migrated.execute(statement)
    footing = Footing(before, snapshot(migrated))
    doors = {
        name for _, name, words in ways if words.startswith("read around the policies")
    }  # asked of the catalogue
    assert {name for _, name, _ in ways if footing.is_unchanged(name)} <= doors


_snapshots: dict[str, Catalog] = {}


def _all_of(done: Climbed) -> Catalog:
    key = str(done.target.parameters)
    if key not in _snapshots:
        with done.connect() as connection:
            _snapshots[key] = snapshot(connection)
    return _snapshots[key]


#: What changes, what has to be tried again by it, and what rests.
CHANGES = [
    (
        "ALTER TABLE customer ADD COLUMN nickname text",
        {"customer"},
        {"supplier", "support_ticket", "v_user_profile"},
    ),
    (
        "ALTER POLICY customer_of_own_organization ON customer USING (true)",
        {"customer", "v_customer_ops_overview"},
        {"notification"},
    ),
    (
        "ALTER FUNCTION current_org_id() SECURITY INVOKER",
        {"customer", "supplier", "v_user_profile"},
        set(),
    ),
    (
        "ALTER POLICY profile_of_own_organization ON profile USING (true)",
        {"supplier", "profile"},
        set(),
    ),
    ("GRANT TRUNCATE ON notification TO authenticated", {"notification"}, {"supplier"}),
    ("GRANT UPDATE (name) ON supplier TO anon", {"supplier"}, {"notification"}),
    ("CREATE INDEX by_phone ON customer (phone)", set(), {"customer", "supplier"}),
    ("ALTER TABLE ai_message_2025_q1 DISABLE TRIGGER USER", {"ai_message"}, {"supplier"}),
    (
        "ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        {"supplier", "audit_log"},
        {"notification"},
    ),
    ("GRANT CREATE ON SCHEMA public TO authenticated", {"customer", "supplier"}, set()),
]


@pytest.mark.parametrize(("change", "again", "rests"), CHANGES)
def test_what_rests_on_something_that_changed_is_tried_again(
    baseline: Connection, change: str, again: set[str], rests: set[str]
) -> None:
    before = snapshot(baseline)
    baseline.execute(change)
    footing = Footing(before, snapshot(baseline))
    assert {name for name in again if footing.is_unchanged(name)} == set()
    assert {name for name in rests if not footing.is_unchanged(name)} == set()


def test_a_role_that_may_more_makes_everything_be_tried_again(database: Target) -> None:
    with connect(database, "test") as connection:
        ledger.install(connection)
    before = promises.before(database, NOTHING)
    same = promises.kept(database, before)
    assert {record["attempts"] for record in same.isolation} == {0}
    other = promises.kept(database, replace(before, roles="as somebody else"))
    assert all(record["attempts"] for record in other.isolation)


def test_names_of_settings_tell_what_they_hold() -> None:
    known = {
        "app.current_org_id": "org",
        "app.tenantId": "org",
        "request.jwt.claim.sub": "user",
        "app.user_email": "email",
        "request.jwt.claim.role": "database_role",
        "app.current_user_role": "role",
        "request.jwt.claims": "claims",
        "app.x": None,
    }
    assert {name: acts_as.kind_of(name) for name in known} == known
    assert (
        acts_as.kind_of("app.session", ["(current_setting('app.session', true)::jsonb ->> 'org')"])
        == "claims"
    )
    assert acts_as.settings_in(
        "(current_setting('a.b'::text, true)::json #>> '{x,y}') || current_setting('role')"
    ) == (
        ("a.b",),
        ("x", "y"),
    )
    assert re.search(
        "sub",
        acts_as.ActsAs({"request.jwt.claims": "claims"}).values(acts_as.Person("u", "o"))[
            "request.jwt.claims"
        ],
    )
