"""The settings that our sessions pin, whatever the server, the database or the role sets."""

from __future__ import annotations

__all__ = ["ABSENT_IN_SOME", "CLIENT_ENCODING", "SESSION", "program_settings"]

#: What the text that we read is encoded in, whatever `client_encoding` a database or a role sets.
CLIENT_ENCODING = "UTF8"

#: Nothing ends a session, or a transaction, of ours but ourselves. `transaction_timeout` would end
#: dumps and restores.
_ENDLESS = {
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "exit_on_error": "off",
}

#: Text is hashed and compared between two servers, so what changes how it is written is the same on
#: both. `money` is written by `lc_monetary`: dumped under one and restored under another, it would
#: be another amount.
_TEXT = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "quote_all_identifiers": "off",
}

#: A statement means what it means by default, and a scan returns all that there is
#: (`gin_fuzzy_search_limit` takes a sample). `row_security` is off, so that a policy that would
#: hide rows is an error.
_MEANING = {
    "search_path": "public, mantis_runbook, pg_temp",
    "row_security": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "default_table_access_method": "heap",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "gin_fuzzy_search_limit": "0",
    "check_function_bodies": "on",
    "restrict_nonsystem_relation_kind": "",
}

#: Only superusers, and who was granted SET on them, may set these; where we may not, they stay, and
#: the check `session_settings` says so. As `replica`, a session fires no trigger and checks no
#: foreign key.
_PRIVILEGED = {
    "session_replication_role": "origin",
    "plpgsql.variable_conflict": "error",
}

#: Every session of ours.
SESSION = {
    "lock_timeout": "100ms",
    "idle_in_transaction_session_timeout": "10min",
    "client_connection_check_interval": "200ms",
    "client_min_messages": "warning",
    # Validations assert: switched off for the database, they would all pass.
    "plpgsql.check_asserts": "on",
    "plpgsql.extra_warnings": "none",
    "plpgsql.extra_errors": "none",
    **_ENDLESS,
    **_TEXT,
    **_MEANING,
    **_PRIVILEGED,
}

#: Settings that not every supported server has, and the first major version on which a program may
#: be given them. The second one came with minor versions too: sessions set it where it is.
ABSENT_IN_SOME = {"transaction_timeout": 17, "restrict_nonsystem_relation_kind": 18}

#: A program has manners of its own (pg_dump pins its text, and its `search_path` is empty), but
#: obeys what a database or a role sets for sessions: their timeouts end it, and `lc_monetary`
#: changes what it reads and writes.
_FOR_PROGRAMS = {
    **_ENDLESS,
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "quote_all_identifiers": "off",
    "lc_monetary": "C",
}


def program_settings(major: int) -> dict[str, str]:
    """The settings that the sessions of a program (pg_dump, pg_restore, psql, pgbench …) must have.

    `major` is the version of the server that it connects to, which refuses those that it does not
    know. Settings that take a superuser end the program of anybody else as it connects: they are
    not here.
    """
    return {
        name: value for name, value in _FOR_PROGRAMS.items() if ABSENT_IN_SOME.get(name, 0) <= major
    }
