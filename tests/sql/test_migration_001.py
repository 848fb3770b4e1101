"""Migration 001 on real servers: up, validated, broken on purpose, rolled back; tenants apart,
secrets out of the audit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from workbench import prepared

from mantis_runbook import sandbox, settings
from mantis_runbook.checks import named_checks, validations
from mantis_runbook.migrations import files as migration_files
from mantis_runbook.migrations.lint import lint
from mantis_runbook.postgres import catalog
from mantis_runbook.postgres.connection import Connection
from mantis_runbook.postgres.target import Target

FOLDER = settings.sql() / "migrations"
TESTS = sorted((settings.sql() / "tests").glob("unit_001_*.sql"))
UP, ROLLBACK, VALIDATE = (
    FOLDER / f"001_core_enhancements{role}.sql" for role in ("", "_rollback", "_validate")
)
TABLES = ("oauth_provider", "api_key", "user_session", "user_2fa")
URL = "https://id.example/"


def carry_out(connection: Connection, path: Path) -> None:
    """Each step in a transaction, as the engine does it."""
    for step in migration_files.read_script(path).steps:
        with connection.transaction():
            for statement in step.statements:
                connection.execute(statement.text)


def found(connection: Connection, path: Path = VALIDATE) -> str:
    return "; ".join(
        f"{one.name}: {one.found}" for one in validations.validate_file(connection, path).failed
    )


@pytest.fixture
def core(baseline: Connection) -> Connection:
    """A baseline database with 001 applied."""
    carry_out(prepared(baseline), UP)
    return baseline


def people(connection: Connection) -> dict[str, tuple[UUID, UUID]]:
    """Two users of one organisation, one of them an admin, and a user of another one: (user,
    organisation).
    """
    org = connection.execute(
        "SELECT org_id FROM profile GROUP BY 1 HAVING bool_or(role = 'admin') AND bool_or(role <>"
        " 'admin') ORDER BY 1 LIMIT 1"
    ).fetchone()[0]

    def somebody(condition: str) -> tuple[UUID, UUID]:
        return connection.execute(
            f"SELECT id, org_id FROM profile WHERE {condition} ORDER BY id LIMIT 1",
            {"org": org},
        ).fetchone()

    return {
        "ann": somebody("org_id = %(org)s AND role <> 'admin'"),
        "boss": somebody("org_id = %(org)s AND role = 'admin'"),
        "eve": somebody("org_id <> %(org)s AND role <> 'admin'"),
    }


@contextmanager
def acting(connection: Connection, role: str, user: UUID | None) -> Iterator[None]:
    """Inside, the connection is that role on behalf of that user; nothing it does stays."""
    name = "" if user is None else str(user)
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT set_config('row_security', 'on', true)")
        connection.execute("SELECT set_config('request.jwt.claim.sub', %s, true)", (name,))
        connection.execute("SELECT set_config('app.current_user_id', %s, true)", (name,))
        connection.execute(f"SET LOCAL ROLE {role}")
        yield


def rows_for_everybody(connection: Connection) -> None:
    for name, (user, org) in people(connection).items():
        connection.execute(
            "INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix) VALUES (%s, %s, %s,"
            " %s, 'mk')",
            (org, user, name, f"hash of {name}"),
        )
        connection.execute(
            "INSERT INTO user_session (user_id, session_token_hash, expires_at) VALUES (%s, %s,"
            " 'infinity')",
            (user, f"hash of {name}"),
        )
        connection.execute(
            "INSERT INTO user_2fa (user_id, method, secret_encrypted) VALUES (%s, 'totp', %s)",
            (user, f"secret of {name}"),
        )
    connection.execute(
        "INSERT INTO oauth_provider (name, client_id, client_secret_encrypted, authorization_url,"
        " token_url, user_info_url, is_active) VALUES ('shown', 'c', 's', %(url)s, %(url)s,"
        " %(url)s, true), ('hidden', 'c', 's', %(url)s, %(url)s, %(url)s, false)",
        {"url": URL},
    )


def number(connection: Connection, statement: str) -> int:
    return connection.execute(statement).fetchone()[0]


# -- up and down -----------------------------------------------------------------------------------


def without_extensions(before: catalog.Catalog, after: catalog.Catalog) -> list[str]:
    return [
        line
        for line in str(catalog.diff(before, after)).splitlines()[1:]
        if "extensions" not in line
    ]


def test_nothing_in_it_blocks_readers_or_writers(tmp_path: Path) -> None:
    for path in (UP, ROLLBACK, VALIDATE):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (migration,) = migration_files.load(tmp_path)
    assert migration.phase == "1"
    assert lint.lint(migration) == ()


def test_the_rollback_leaves_the_catalogue_as_it_was_but_for_extensions(
    baseline: Connection,
) -> None:
    before = catalog.snapshot(prepared(baseline))
    carry_out(baseline, UP)
    assert found(baseline) == ""
    rows_for_everybody(baseline)
    carry_out(baseline, ROLLBACK)
    assert without_extensions(before, catalog.snapshot(baseline)) == []
    carry_out(baseline, UP)
    assert found(baseline) == ""


@pytest.mark.parametrize("auth", ["supabase", "extended"])
@pytest.mark.parametrize("force_rls", [False, True], ids=["plain", "forced"])
def test_both_installations_can_go_up_and_down(
    empty_database: Target, auth: str, force_rls: bool
) -> None:
    sandbox.load_baseline(
        empty_database.parameters, scale=0.01, seed=1, auth=auth, force_rls=force_rls
    )
    with psycopg.connect(**empty_database.parameters, autocommit=True) as connection:
        before = catalog.snapshot(prepared(connection))
        carry_out(connection, UP)
        assert [found(connection, path) for path in (VALIDATE, *TESTS)] == [""] * (1 + len(TESTS))
        carry_out(connection, ROLLBACK)
        assert without_extensions(before, catalog.snapshot(connection)) == []


def test_a_function_of_the_owners_that_the_extension_would_make_stays_and_no_extension_is_made(
    baseline: Connection,
) -> None:
    baseline.execute(
        "CREATE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'"
    )
    first, *_ = migration_files.read_script(UP).steps
    for statement in first.statements:
        baseline.execute(statement.text)
    assert number(baseline, "SELECT count(*) FROM pg_extension WHERE extname = 'uuid-ossp'") == 0


def test_uuid_ossp_is_skipped_with_a_warning_where_the_server_does_not_offer_it(
    baseline: Connection,
) -> None:
    offered = number(
        baseline, "SELECT count(*) FROM pg_available_extensions WHERE name = 'uuid-ossp'"
    )
    said: list[str] = []
    baseline.add_notice_handler(lambda notice: said.append(notice.message_primary))
    carry_out(baseline, UP)
    assert (
        number(baseline, "SELECT count(*) FROM pg_extension WHERE extname = 'uuid-ossp'") == offered
    )
    assert any("uuid-ossp is skipped" in one for one in said) is not bool(offered)


def test_the_rollback_is_refused_while_a_later_table_uses_an_enum(core: Connection) -> None:
    core.execute("CREATE TABLE later (price_currency currency_code)")
    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="currency_code"):
        carry_out(core, ROLLBACK)


def test_triggers_of_existing_tables_go_on_calling_their_own_function(core: Connection) -> None:
    core.execute("UPDATE customer SET name = name WHERE id = (SELECT id FROM customer LIMIT 1)")
    assert (
        number(
            core,
            "SELECT count(*) FROM pg_trigger WHERE tgfoid ="
            " 'record_audit_of_baseline()'::regprocedure",
        )
        > 0
    )
    carry_out(core, ROLLBACK)
    assert number(core, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'record_audit%'") == 1
    core.execute("UPDATE customer SET name = name WHERE id = (SELECT id FROM customer LIMIT 1)")


def test_default_privileges_do_not_open_the_new_tables(baseline: Connection) -> None:
    """Supabase grants everything in public to everybody by default."""
    for kind in ("TABLES", "FUNCTIONS"):
        baseline.execute(
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {kind} TO anon, authenticated,"
            " service_role"
        )
    carry_out(prepared(baseline), UP)
    assert found(baseline) == ""


# -- validation ------------------------------------------------------------------------------------

BREAKS = [
    ("DROP EXTENSION hstore", "extensions missing: hstore"),
    ("ALTER TYPE currency_code ADD VALUE 'SEK'", "enums differ: currency_code has USD"),
    ("ALTER TYPE tax_type RENAME VALUE 'vat' TO 'VAT'", "enums differ: tax_type"),
    ("DROP TYPE template_type", "template_type has no labels"),
    ("ALTER TABLE user_2fa DROP COLUMN backup_codes", "user_2fa: backup_codes text[]"),
    (
        "ALTER TABLE api_key ALTER COLUMN key_prefix DROP NOT NULL",
        "api_key: key_prefix text not null",
    ),
    (
        "ALTER TABLE api_key ALTER COLUMN last_used_at TYPE timestamptz(3)",
        "api_key: last_used_at timestamp with time zone",
    ),
    (
        "ALTER TABLE oauth_provider ALTER COLUMN scope DROP DEFAULT",
        "oauth_provider.scope = 'email profile'",
    ),
    ("ALTER TABLE api_key ALTER COLUMN is_active SET DEFAULT false", "api_key.is_active = true"),
    (
        "ALTER TABLE oauth_provider DROP CONSTRAINT oauth_provider_urls_format",
        "oauth_provider_urls_format",
    ),
    (
        (
            "ALTER TABLE oauth_provider DROP CONSTRAINT oauth_provider_name_length,"
            " ADD CONSTRAINT oauth_provider_name_length CHECK (name > '')"
        ),
        "rules do not say: oauth_provider_name_length",
    ),
    (
        (
            "ALTER TABLE api_key DROP CONSTRAINT api_key_org_id_fkey, ADD CONSTRAINT"
            " api_key_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization ON DELETE CASCADE"
            " NOT VALID"
        ),
        "constraints missing or not validated: api_key_org_id_fkey",
    ),
    (
        (
            "ALTER TABLE api_key DROP CONSTRAINT api_key_org_id_fkey,"
            " ADD CONSTRAINT api_key_org_id_fkey FOREIGN KEY (org_id) REFERENCES organization"
        ),
        "foreign keys differ: api_key_org_id_fkey to organization",
    ),
    ("DROP INDEX idx_api_key_org", "idx_api_key_org"),
    (
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid ="
            " 'idx_user_session_user'::regclass"
        ),
        "idx_user_session_user",
    ),
    (
        "ALTER TABLE user_session DISABLE ROW LEVEL SECURITY",
        "row-level security is off: user_session",
    ),
    (
        "DROP POLICY api_key_of_own_user ON api_key",
        "policies missing or different: api_key_of_own_user",
    ),
    ("ALTER POLICY user_2fa_of_own_user ON user_2fa WITH CHECK (true)", "user_2fa_of_own_user"),
    (
        "ALTER POLICY oauth_provider_shown_while_active ON oauth_provider TO PUBLIC",
        "oauth_provider_shown_while_active",
    ),
    ("CREATE POLICY open ON api_key USING (true)", "open is not ours"),
    ("GRANT SELECT ON user_session TO anon", "anon may SELECT user_session"),
    ("GRANT TRUNCATE ON api_key TO authenticated", "authenticated may TRUNCATE api_key"),
    ("GRANT INSERT ON oauth_provider TO authenticated", "authenticated may INSERT oauth_provider"),
    (
        "GRANT SELECT (client_secret_encrypted) ON oauth_provider TO authenticated",
        "authenticated may read client_secret_encrypted",
    ),
    ("REVOKE UPDATE ON api_key FROM authenticated", "authenticated may not UPDATE api_key"),
    (
        "REVOKE SELECT (scope) ON oauth_provider FROM authenticated",
        "authenticated may not read scope",
    ),
    (
        "REVOKE EXECUTE ON FUNCTION tenant_org_id() FROM authenticated",
        "authenticated may not call tenant_org_id()",
    ),
    ("DROP TRIGGER touch_updated_at ON api_key", "touch_updated_at on api_key"),
    ("ALTER TABLE user_2fa DISABLE TRIGGER record_audit", "record_audit on user_2fa"),
    (
        (
            "DROP TRIGGER record_audit ON oauth_provider; CREATE TRIGGER record_audit AFTER INSERT"
            " ON oauth_provider FOR EACH ROW EXECUTE FUNCTION record_audit()"
        ),
        "record_audit on oauth_provider",
    ),
    (
        "ALTER FUNCTION tenant_org_id() SECURITY INVOKER",
        "functions missing or different: tenant_org_id()",
    ),
    (
        "ALTER FUNCTION record_audit() RESET search_path",
        "functions missing or different: record_audit()",
    ),
    ("GRANT EXECUTE ON FUNCTION tenant_user_id() TO anon", "anon may call tenant_user_id()"),
    (
        (
            "CREATE OR REPLACE FUNCTION tenant_user_id() RETURNS uuid LANGUAGE sql STABLE AS"
            " 'SELECT gen_random_uuid()'"
        ),
        "a session that names no user has one",
    ),
    ("COMMENT ON COLUMN user_2fa.phone_number IS NULL", "user_2fa.phone_number"),
    ("COMMENT ON TABLE api_key IS NULL", "tables without a comment: api_key"),
]


@pytest.mark.parametrize(
    ("statement", "message"), BREAKS, ids=[statement[:60] for statement, _ in BREAKS]
)
def test_the_validation_names_what_was_broken(
    core: Connection, statement: str, message: str
) -> None:
    with core.transaction(force_rollback=True):
        core.execute(statement)
        assert message in found(core)
    assert found(core) == ""


def test_every_step_of_the_validation_was_broken_once(core: Connection) -> None:
    broken: set[str] = set()
    for statement, _ in BREAKS:
        with core.transaction(force_rollback=True):
            core.execute(statement)
            broken |= {one.name for one in validations.validate_file(core, VALIDATE).failed}
    assert broken == {step.name for step in migration_files.read_script(VALIDATE).steps}


@pytest.mark.parametrize("path", TESTS, ids=[path.stem for path in TESTS])
def test_the_unit_tests_pass_and_leave_nothing(core: Connection, path: Path) -> None:
    before = {
        table: number(core, f"SELECT count(*) FROM {table}") for table in (*TABLES, "audit_log")
    }
    assert found(core, path) == ""
    assert {table: number(core, f"SELECT count(*) FROM {table}") for table in before} == before


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "ALTER TYPE currency_code RENAME VALUE 'USD' TO 'US$'",
            "USD should be a valid currency_code",
        ),
        ("ALTER TYPE tax_type ADD VALUE 'tithe'", "tax_type should go from vat to property_tax"),
        (
            "ALTER TABLE user_2fa DROP CONSTRAINT user_2fa_totp_has_a_secret",
            "should be refused by user_2fa_totp_has_a_secret",
        ),
        (
            "ALTER TABLE api_key DISABLE ROW LEVEL SECURITY",
            "a user should see one of two keys, saw 2",
        ),
        (
            "ALTER POLICY api_key_of_own_user ON api_key WITH CHECK (true)",
            "a key in another organisation should be refused",
        ),
        ("DROP TRIGGER record_audit ON api_key", "making a key should be audited"),
        (
            (
                "DROP TRIGGER record_audit ON user_2fa; CREATE TRIGGER record_audit AFTER INSERT ON"
                " user_2fa FOR EACH ROW EXECUTE FUNCTION record_audit('phone_number')"
            ),
            "a factor's secrets should not be in audit_log",
        ),
    ],
)
def test_the_unit_tests_can_fail(core: Connection, statement: str, message: str) -> None:
    core.execute(statement)
    assert message in "; ".join(found(core, path) for path in TESTS)


# -- personal data of the application's tables -----------------------------------------------------

#: A column's comment, and the class it names: what checks and the report go by.
MARKS = """
SELECT format('%I.%I', relname, attname), col_description(attrelid, attnum),
    (regexp_match(col_description(attrelid, attnum), '^(personal data: [a-z ]+|not personal):'))[1]
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
  AND attnum > 0 AND col_description(attrelid, attnum) IS NOT NULL
"""
WITHOUT_COMMENTS = (
    "DELETE FROM pg_description WHERE classoid = 'pg_class'::regclass AND objsubid > 0"
)


def marks(connection: Connection) -> dict[str, tuple[str, str]]:
    return {column: (words, kind) for column, words, kind in connection.execute(MARKS)}


def test_columns_that_nobody_marked_are_marked_as_the_sandbox_has_them(
    baseline: Connection,
) -> None:
    """An installation in the wild promises names and types, no comments."""
    as_in_sandbox = {column: kind for column, (_, kind) in marks(baseline).items() if kind}
    prepared(baseline).execute(WITHOUT_COMMENTS)
    baseline.execute("COMMENT ON COLUMN customer.email IS 'Where newsletters go.'")
    before = catalog.snapshot(baseline)
    carry_out(baseline, UP)
    made = {
        column: kind
        for column, (_, kind) in marks(baseline).items()
        if column.split(".")[0] not in TABLES
    }
    assert made == as_in_sandbox | {"customer.email": None}
    assert marks(baseline)["customer.email"][0] == "Where newsletters go."
    (check,) = named_checks.run(baseline, "1", ["unmarked_personal_data_elsewhere"]).results
    assert [finding.object for finding in check.found] == ["customer.email"]
    carry_out(baseline, ROLLBACK)
    assert without_extensions(before, catalog.snapshot(baseline)) == []


def test_what_somebody_wrote_stays_up_and_down(baseline: Connection) -> None:
    was = marks(baseline)
    carry_out(prepared(baseline), UP)
    assert was.items() <= marks(baseline).items()
    carry_out(baseline, ROLLBACK)
    assert marks(baseline) == was

    baseline.execute("COMMENT ON COLUMN customer.email IS NULL")
    carry_out(baseline, UP)
    assert (
        marks(baseline)["customer.email"][0] == "personal data: contact: marked by migration 001."
    )
    baseline.execute(
        "COMMENT ON COLUMN customer.email IS 'personal data: contact: marked by migration 001. Read"
        " by two.'"
    )
    carry_out(baseline, ROLLBACK)
    assert marks(baseline)["customer.email"][0].endswith("Read by two.")


# -- tenants ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["api_key", "user_session", "user_2fa"])
@pytest.mark.parametrize(
    ("role", "name", "expected"),
    [("authenticated", "ann", 1), ("authenticated", "eve", 1), ("authenticated", "", 0)],
)
def test_a_user_sees_the_own_rows_and_nobody_sees_none(
    core: Connection, table: str, role: str, name: str, expected: int
) -> None:
    rows_for_everybody(core)
    user = people(core)[name][0] if name else None
    with acting(core, role, user):
        assert [row[0] for row in core.execute(f"SELECT user_id FROM {table}")] == [user] * expected


@pytest.mark.parametrize("table", TABLES)
def test_anon_is_refused_and_the_service_sees_all(core: Connection, table: str) -> None:
    rows_for_everybody(core)
    with acting(core, "service_role", None):
        assert number(core, f"SELECT count(*) FROM {table}") == (
            2 if table == "oauth_provider" else 3
        )
    with acting(core, "anon", None), pytest.raises(psycopg.errors.InsufficientPrivilege):
        core.execute(f"SELECT id FROM {table}")


def test_an_admin_sees_the_keys_of_the_organisation_and_changes_none_but_the_own(
    core: Connection,
) -> None:
    rows_for_everybody(core)
    with acting(core, "authenticated", people(core)["boss"][0]):
        assert [row[0] for row in core.execute("SELECT name FROM api_key ORDER BY 1")] == [
            "ann",
            "boss",
        ]
        assert core.execute("UPDATE api_key SET is_active = false").rowcount == 1
        assert core.execute("DELETE FROM api_key").rowcount == 1
        assert [row[0] for row in core.execute("SELECT DISTINCT user_id FROM user_session")] == [
            people(core)["boss"][0]
        ]


@pytest.mark.parametrize(
    "statement",
    [
        (
            "INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix) VALUES (%(far)s,"
            " %(ann)s, 'x', 'x', 'x')"
        ),
        (
            "INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix) VALUES (%(org)s,"
            " %(boss)s, 'x', 'x', 'x')"
        ),
        "UPDATE api_key SET org_id = %(far)s",
        (
            "INSERT INTO user_session (user_id, session_token_hash, expires_at) VALUES (%(boss)s,"
            " 'x', 'infinity')"
        ),
        "UPDATE user_2fa SET user_id = %(eve)s",
        "INSERT INTO oauth_provider SELECT * FROM oauth_provider",
        "UPDATE oauth_provider SET is_active = true",
        "DELETE FROM oauth_provider",
        "SELECT client_secret_encrypted FROM oauth_provider",
        "SELECT * FROM oauth_provider",
        "INSERT INTO audit_log (action, table_name) VALUES ('DELETE', 'api_key')",
    ],
)
def test_what_reaches_into_another_tenant_is_refused(core: Connection, statement: str) -> None:
    rows_for_everybody(core)
    who = people(core)
    values = {name: user for name, (user, _) in who.items()} | {
        "org": who["ann"][1],
        "far": who["eve"][1],
    }
    with (
        acting(core, "authenticated", who["ann"][0]),
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        core.execute(statement, values)


def test_users_see_active_providers_without_the_secret(core: Connection) -> None:
    rows_for_everybody(core)
    with acting(core, "authenticated", people(core)["eve"][0]):
        assert core.execute("SELECT name, client_id FROM oauth_provider").fetchall() == [
            ("shown", "c")
        ]


def test_a_service_role_without_bypass_keeps_the_providers(core: Connection) -> None:
    rows_for_everybody(core)
    with core.transaction(force_rollback=True):
        core.execute("ALTER ROLE service_role NOBYPASSRLS")
        core.execute("SELECT set_config('row_security', 'on', true)")
        core.execute("SET LOCAL ROLE service_role")
        assert core.execute("UPDATE oauth_provider SET is_active = true").rowcount == 2


# -- audit -----------------------------------------------------------------------------------------


def audited(connection: Connection, action: str, table: str) -> tuple:
    return connection.execute(
        "SELECT org_id, user_id, record_id, old_data, new_data FROM audit_log WHERE action ="
        " %s::audit_action AND table_name = %s ORDER BY timestamp DESC LIMIT 1",
        (action, table),
    ).fetchone()


def test_no_secret_is_in_the_audit_log_whatever_is_done(core: Connection) -> None:
    ann, org = people(core)["ann"]
    before = number(core, "SELECT count(*) FROM audit_log")
    for statement in (
        (
            "INSERT INTO oauth_provider (name, client_id, client_secret_encrypted,"
            " authorization_url, token_url, user_info_url) VALUES ('acme', 'c', 'SECRET', %(url)s,"
            " %(url)s, %(url)s)"
        ),
        (
            "INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix) VALUES (%(org)s,"
            " %(ann)s, 'x', 'SECRET', 'x')"
        ),
        (
            "INSERT INTO user_session (user_id, session_token_hash, ip_address, user_agent,"
            " device_fingerprint, location_country, location_city, expires_at) VALUES (%(ann)s,"
            " 'SECRET', '2001:db8::5ec2', 'SECRET', 'SECRET', 'SECRET', 'SECRET', 'infinity')"
        ),
        (
            "INSERT INTO user_2fa (user_id, method, secret_encrypted, phone_number, backup_codes)"
            " VALUES (%(ann)s, 'totp', 'SECRET', 'SECRET', '{SECRET}')"
        ),
        "UPDATE oauth_provider SET client_secret_encrypted = 'SECRET 2'",
        "UPDATE api_key SET key_hash = 'SECRET 2'",
        "UPDATE user_session SET session_token_hash = 'SECRET 2', is_active = false",
        "UPDATE user_2fa SET phone_number = NULL, backup_codes = '{SECRET 2}'",
        *(f"DELETE FROM {table}" for table in TABLES),
    ):
        core.execute(statement, {"ann": ann, "org": org, "url": URL})
    assert number(core, "SELECT count(*) FROM audit_log") - before == 12
    assert (
        number(
            core, "SELECT count(*) FROM audit_log WHERE audit_log::text ~ 'SECRET|2001:db8::5ec2'"
        )
        == 0
    )


def test_an_entry_says_who_did_what_to_which_row_and_that_a_secret_changed(
    core: Connection,
) -> None:
    ann, org = people(core)["ann"]
    with core.transaction():
        core.execute("SELECT set_config('request.jwt.claim.sub', %s, true)", (str(ann),))
        key = core.execute(
            "INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix) VALUES (%s, %s, 'x',"
            " 'h', 'x') RETURNING id",
            (org, ann),
        ).fetchone()[0]
        core.execute("UPDATE api_key SET key_hash = 'other', name = 'y'")
    made, changed = audited(core, "INSERT", "api_key"), audited(core, "UPDATE", "api_key")
    assert made[:3] == changed[:3] == (org, ann, key)
    assert made[3] is None
    assert made[4]["key_hash"] == "[redacted, new]"
    assert (changed[3]["key_hash"], changed[4]["key_hash"]) == ("[redacted]", "[redacted, new]")
    core.execute("UPDATE api_key SET name = 'z'")
    assert audited(core, "UPDATE", "api_key")[4]["key_hash"] == "[redacted]"


def test_of_a_key_the_audit_log_says_only_whose_it_is_and_what_is_new(core: Connection) -> None:
    """Colleagues read audit_log, and only administrators another's keys; that a value is NULL is a
    value too.
    """
    ann, org = people(core)["ann"]
    key = core.execute(
        "INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix) VALUES (%s, %s, 'x',"
        " 'h', 'x') RETURNING id",
        (org, ann),
    ).fetchone()[0]
    core.execute("UPDATE api_key SET name = 'y', is_active = NULL")
    core.execute("DELETE FROM api_key")
    ids = {"id": str(key), "org_id": str(org)}
    made, changed, gone = (
        audited(core, action, "api_key") for action in ("INSERT", "UPDATE", "DELETE")
    )
    assert {name: value for name, value in made[4].items() if value != "[redacted, new]"} == ids
    new = {name for name, value in changed[4].items() if value == "[redacted, new]"}
    assert {"name", "is_active"} <= new <= {"name", "is_active", "updated_at"}
    for image in (changed[3], gone[3]):
        assert {name: value for name, value in image.items() if value != "[redacted]"} == ids
    assert {
        name: value for name, value in changed[4].items() if not value.startswith("[redacted")
    } == ids


def test_nobodys_colleague_reads_of_his_sessions_and_factors(core: Connection) -> None:
    rows_for_everybody(core)
    users = sorted(str(user) for user, _ in people(core).values())
    entries = "SELECT new_data ->> 'user_id' FROM audit_log WHERE table_name = %s"
    for table in ("user_session", "user_two_fa"):
        assert sorted(user for (user,) in core.execute(entries, (table,))) == users
        for user, _ in people(core).values():
            with acting(core, "authenticated", user):
                assert core.execute(entries, (table,)).fetchall() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE api_key SET last_used_at = now()",
        "UPDATE user_session SET last_activity_at = now() + interval '1 s'",
    ],
)
def test_mere_use_is_not_audited(core: Connection, statement: str) -> None:
    rows_for_everybody(core)
    before = number(core, "SELECT count(*) FROM audit_log")
    assert core.execute(statement).rowcount == 3
    assert number(core, "SELECT count(*) FROM audit_log") == before


def test_deleting_an_organisation_takes_its_keys_and_is_audited(core: Connection) -> None:
    org = core.execute(
        "INSERT INTO organization (name, slug) VALUES ('Test Org', 'test-org') RETURNING id"
    ).fetchone()[0]
    user = core.execute(
        "INSERT INTO auth.users (email) VALUES ('t@test.example') RETURNING id"
    ).fetchone()[0]
    core.execute("INSERT INTO profile (id, org_id, display_name) VALUES (%s, %s, 'T')", (user, org))
    core.execute(
        "INSERT INTO api_key (org_id, user_id, name, key_hash, key_prefix) VALUES (%s, %s, 'x',"
        " 'h', 'x')",
        (org, user),
    )
    core.execute("INSERT INTO user_2fa (user_id, method) VALUES (%s, 'email')", (user,))
    core.execute("SELECT set_config('request.jwt.claim.sub', %s, false)", (str(user),))
    core.execute("DELETE FROM organization WHERE id = %s", (org,))
    assert (
        number(core, "SELECT count(*) FROM api_key")
        == number(core, "SELECT count(*) FROM user_2fa")
        == 0
    )
    assert audited(core, "DELETE", "api_key")[:2] == (None, None)


def test_a_secret_column_that_is_gone_stops_the_write_rather_than_the_redaction(
    core: Connection,
) -> None:
    rows_for_everybody(core)
    core.execute("ALTER TABLE user_2fa RENAME COLUMN phone_number TO telephone")
    with pytest.raises(
        psycopg.errors.RaiseException, match="is to redact column phone_number of user_2fa"
    ):
        core.execute("UPDATE user_2fa SET telephone = '+49 1234'")


def test_a_partition_is_audited_under_the_name_of_its_table(core: Connection) -> None:
    core.execute(
        "CREATE TABLE logged (id uuid DEFAULT gen_random_uuid(), n integer) PARTITION BY RANGE (n)"
    )
    core.execute("CREATE TABLE logged_few PARTITION OF logged FOR VALUES FROM (0) TO (10)")
    core.execute(
        "CREATE TRIGGER record_audit AFTER INSERT ON logged FOR EACH ROW EXECUTE FUNCTION"
        " record_audit()"
    )
    core.execute("INSERT INTO logged (n) VALUES (1)")
    assert audited(core, "INSERT", "logged") is not None


def test_updated_at_follows_changes(core: Connection) -> None:
    rows_for_everybody(core)
    core.execute("UPDATE api_key SET name = 'new', updated_at = '2001-01-01' WHERE name = 'ann'")
    assert number(core, "SELECT count(*) FROM api_key WHERE updated_at < created_at") == 0


def test_the_user_is_taken_from_a_setting_where_the_platform_has_no_function(
    core: Connection,
) -> None:
    ann = people(core)["ann"][0]
    with core.transaction(force_rollback=True):
        core.execute("ALTER FUNCTION auth.uid() RENAME TO uid_of_yore")
        core.execute("SELECT set_config('app.current_user_id', %s, true)", (str(ann),))
        assert core.execute("SELECT tenant_user_id()").fetchone()[0] == ann


def test_a_setting_does_not_make_a_user_where_the_platform_has_a_function(core: Connection) -> None:
    with core.transaction(force_rollback=True):
        core.execute(
            "SELECT set_config('app.current_user_id', %s, true)", (str(people(core)["ann"][0]),)
        )
        assert core.execute("SELECT tenant_user_id()").fetchone()[0] is None


def test_a_tenants_query_asks_for_the_organisation_once(core: Connection) -> None:
    with acting(core, "authenticated", people(core)["ann"][0]):
        plan = core.execute("EXPLAIN (COSTS off) SELECT name FROM api_key").fetchall()
    assert sum("tenant_org_id()" in line for (line,) in plan) == 0
    assert any("InitPlan" in line for (line,) in plan)
