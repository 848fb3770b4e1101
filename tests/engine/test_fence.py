"""The lock: one runner a database, a fence for the one that lost it, and no pooler in between."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from workbench import Bench, beside, wait_for

from mantis_runbook.engine.fence import KEY, Fence, hold
from mantis_runbook.errors import FenceLost, PoolerRefused, Refused
from mantis_runbook.postgres.connection import refuse_pooler
from mantis_runbook.postgres.server import Server, free_port
from mantis_runbook.postgres.server_account import private_folder
from mantis_runbook.postgres.target import Target

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def token(bench: Bench) -> int:
    found: int = bench.value("SELECT token FROM mantis_runbook.fence")
    return found


def test_each_runner_raises_the_fence(bench: Bench) -> None:
    with hold(bench.target, "run-1", "Ada") as first:
        assert first.token == token(bench)
    with hold(bench.target, "run-2", "Bob") as second:
        assert second.token == first.token + 1
    assert bench.sql("SELECT run, who FROM mantis_runbook.fence") == [("run-2", "Bob")]


@pytest.mark.parametrize("in_transaction", [True, False])
def test_an_older_token_is_refused(bench: Bench, in_transaction: bool) -> None:
    with hold(bench.target, "run-1", "Ada") as old:
        pass
    with hold(bench.target, "run-2", "Bob"), bench.connect() as connection:
        with pytest.raises(FenceLost, match="found run run-2 of Bob holds the database"):
            old.check(connection, in_transaction=in_transaction)


def test_a_fence_that_is_gone_is_no_fence(bench: Bench) -> None:
    bench.sql("DELETE FROM mantis_runbook.fence")
    with bench.connect() as connection, pytest.raises(FenceLost, match="found no fence"):
        Fence(1).check(connection, in_transaction=False)


def test_the_lock_is_free_again_however_the_block_ends(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError), hold(bench.target, "run-1", "Ada"):
        raise ZeroDivisionError
    with hold(bench.target, "run-2", "Bob", patience_s=0):
        pass


def test_a_lost_session_does_not_hide_why_the_block_ended(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError), hold(bench.target, "run-1", "Ada"):
        bench.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        raise ZeroDivisionError


def test_a_runner_waits_for_the_one_before_it(bench: Bench) -> None:
    def second() -> int:
        with hold(bench.target, "run-2", "Bob", patience_s=20) as fence:
            return fence.token

    with hold(bench.target, "run-1", "Ada") as first:
        waiting = beside(second)
        runner = waiting.__enter__()
        trying = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory%'"
        wait_for(lambda: bench.sql(trying), "the second to try")
    waiting.__exit__(None, None, None)
    assert runner.result == first.token + 1


def test_the_lock_session_holds_no_snapshot_and_is_not_ended_for_being_idle(bench: Bench) -> None:
    with hold(bench.target, "run-1", "Ada"):
        assert bench.sql(
            "SELECT backend_xmin, backend_xid, xact_start, state FROM pg_stat_activity WHERE"
            " application_name = 'mantis-runbook/lock'"
        ) == [(None, None, None, "idle")]


def test_a_default_of_the_database_does_not_end_an_idle_lock(bench: Bench) -> None:
    name = bench.target.parameters["dbname"]
    bench.sql(f"ALTER DATABASE {name} SET idle_session_timeout = '200ms'")
    with hold(bench.target, "run-1", "Ada") as fence:
        with pytest.raises(psycopg.OperationalError), bench.connect() as idle:
            wait_for(
                lambda: (
                    idle.execute("SELECT pg_sleep(0)")
                    and not bench.sql("SELECT pg_sleep(0.4)")
                    and False
                ),
                "",
                5,
            )
            idle.execute("SELECT 1")
        with bench.connect() as connection:
            fence.check(connection, in_transaction=False)
        assert bench.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 1


def test_an_application_lock_of_another_key_is_not_ours(bench: Bench) -> None:
    with bench.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [KEY + 1])
        connection.execute("SELECT pg_advisory_lock(%s, %s)", [KEY >> 32, KEY & 0x7FFFFFFF])
        with hold(bench.target, "run-1", "Ada", patience_s=0):
            pass


def test_before_phase_0_there_is_nothing_to_hold(empty_database: Target) -> None:
    with (
        pytest.raises(Refused, match="the database has no ledger"),
        hold(empty_database, "run-1", "Ada"),
    ):
        pass


# -- poolers ---------------------------------------------------------------------------------------


@contextmanager
def pgbouncer(server: Server, **settings: str) -> Iterator[int]:
    """A pooler in front of the server; yields its port."""
    assert PGBOUNCER
    folder, port = private_folder("mantis-bouncer-"), free_port()
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    given = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "logfile": str(folder / "log"),
        "pidfile": str(folder / "pid"),
    } | settings
    host = server.parameters["host"]
    lines = [f"* = host={host} port={server.port} user={server.parameters['user']}", "[pgbouncer]"]
    lines += [f"{name} = {value}" for name, value in given.items()]
    (folder / "ini").write_text("\n".join(["[databases]", *lines, ""]))
    who = {"user": account.pw_uid, "group": account.pw_gid} if account else {}
    (folder / "ini").chmod(0o644)
    process = subprocess.Popen([PGBOUNCER, folder / "ini"], stderr=subprocess.DEVNULL, **who)  # type: ignore[call-overload]
    try:
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")
@pytest.mark.parametrize("pool_size", ["1", "5"])
def test_a_pooler_in_transaction_mode_is_refused(
    bench: Bench, server: Server, pool_size: str
) -> None:
    with pgbouncer(server, pool_mode="transaction", default_pool_size=pool_size) as port:
        pooled = reached(bench, port)
        with pytest.raises(PoolerRefused) as caught, hold(pooled, "run-1", "Ada", patience_s=0):
            pass
        with pytest.raises(PoolerRefused):
            refuse_pooler(pooled)
    assert (
        str(caught.value)
        == "target TEST_DSN is reached through a pooler in transaction mode: found one server"
        " session serving two connections, expected a direct connection: session locks and"
        " session settings do not survive such a pooler; name the server itself (its own port)"
        " as the target"
    )


@pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")
def test_a_pooler_in_session_mode_is_as_good_as_the_server(bench: Bench, server: Server) -> None:
    with (
        pgbouncer(server, pool_mode="session") as port,
        hold(reached(bench, port), "run-1", "Ada") as fence,
    ):
        assert fence.token == token(bench)


def reached(bench: Bench, port: int) -> Target:
    """The bench's database by way of the pooler, once that answers."""
    parameters = bench.target.parameters | {"host": "127.0.0.1", "port": str(port)}

    def answers() -> bool:
        try:
            psycopg.connect(**parameters).close()  # type: ignore[arg-type]
        except psycopg.OperationalError as error:
            return "refused" not in str(error)
        return True

    wait_for(answers, "pgbouncer")
    return Target("TEST_DSN", "variable", parameters)
