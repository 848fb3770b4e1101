"""The right database: whatever a service or the environment says, programs and sessions reach the
one that is meant.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from conftest import chosen, fresh_database, made_server
from project import Project, scratch_databases
from psycopg import sql
from workbench import Bench

from mantis_runbook import cli, settings
from mantis_runbook.backup import backup, salvage, scratch
from mantis_runbook.backup.scratch import create_scratch, drop_scratch, has_scratch
from mantis_runbook.errors import Refused, TargetError
from mantis_runbook.phases.advanced import bloat
from mantis_runbook.postgres import catalog, commands, programs
from mantis_runbook.postgres.connection import connect
from mantis_runbook.postgres.server import Server, free_port
from mantis_runbook.postgres.target import Target, resolve
from mantis_runbook.rehearsal.performance import replay
from mantis_runbook.runs import archive, run
from mantis_runbook.watch import application_load

SECRET = "hunter2-geheim"


@pytest.fixture
def stranger(server: Server) -> Iterator[str]:
    """A database that nobody means."""
    with fresh_database(server, "template0") as parameters:
        yield parameters["dbname"]


def ways(
    bench: Bench, stranger: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Target]:
    """The same database, named in each way, while services and variables lead elsewhere."""
    parameters, meant = bench.target.parameters, bench.target.parameters["dbname"]
    place = "\n".join(f"{key}={value}" for key, value in parameters.items() if key != "dbname")
    (folder / "services.conf").write_text(
        f"[elsewhere]\n{place}\ndbname={stranger}\n[meant]\n{place}\ndbname={meant}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(folder / "services.conf"))
    monkeypatch.setenv("PGSERVICE", "elsewhere")
    monkeypatch.setenv("PGDATABASE", meant)
    host, port = parameters["host"].replace("/", "%2F"), parameters["port"]
    monkeypatch.setenv(
        "A_URI", f"postgresql://{parameters['user']}@{host}:{port}/{meant}?service=elsewhere"
    )
    return {
        "a service": resolve("meant"),
        "a service, another database": resolve("elsewhere").database(meant),
        "PG with a service, another database": resolve("PG").database(meant),
        "a uri": resolve("A_URI"),
        "several hosts": Target("many", "variable", parameters | {
            "host": f"/nonexistent,{parameters['host']}", "port": f"5432,{port}",
            "target_session_attrs": "read-write",
        }),
    }  # fmt: skip


def tables(server: Server, name: str) -> list[str]:
    with psycopg.connect(**server.parameters | {"dbname": name}) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind ="
            " 'r' ORDER BY 1"
        )
        return [name for (name,) in found]


def test_every_program_reaches_the_database_that_is_meant_and_no_other(
    bench: Bench, server: Server, stranger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red with the service in the child's environment: each of these worked on the stranger's
    database.
    """
    meant = bench.target.parameters["dbname"]
    bench.sql("CREATE TABLE meant (id integer PRIMARY KEY)")
    script = tmp_path / "script.sql"
    for number, (way, target) in enumerate(ways(bench, stranger, tmp_path, monkeypatch).items()):
        script.write_text(f"CREATE TABLE made_{number} (id integer);\n")
        programs.run(commands.command("psql", target, f"--file={script}"))
        script.write_text("INSERT INTO meant SELECT coalesce(max(id), 0) + 1 FROM meant;\n")
        programs.run(
            commands.command(
                "pgbench", target, "--no-vacuum", "--transactions=1", f"--file={script}"
            )
        )
        dump = programs.run(commands.command("pg_dump", target, "--schema-only")).stdout
        assert "CREATE TABLE public.meant" in dump, way
        assert (
            "CREATE ROLE"
            in programs.run(commands.command("pg_dumpall", target, "--globals-only")).stdout
        ), way
        assert f"made_{number}" in tables(server, meant), way
    assert tables(server, stranger) == []
    assert bench.sql("SELECT count(*) FROM meant") == [(5,)]


def test_a_copy_is_restored_into_the_scratch_database_and_nowhere_else(
    bench: Bench, server: Server, stranger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Target and scratch server are both named by a service whose database is another one."""
    bench.sql("CREATE TABLE meant AS SELECT generate_series(1, 10) AS id")
    named = ways(bench, stranger, tmp_path, monkeypatch)
    for number, way in enumerate(
        ("a service, another database", "PG with a service, another database")
    ):
        taken = backup.take(named[way], tmp_path / f"backup-{number}", derived=True)
        assert taken.database == bench.target.parameters["dbname"]
        for prove in (backup.prove, backup.prove_derived):
            scratch = create_scratch(resolve("elsewhere"), "mantis_scratch_place")
            try:
                assert prove(taken, scratch)
                assert "meant" in tables(server, "mantis_scratch_place")
            finally:
                drop_scratch(resolve("elsewhere"), "mantis_scratch_place")
        with pytest.raises(
            Refused,
            match=f"would be restored into database {stranger}; expected|would be restored into",
        ):
            backup.prove(taken, resolve("elsewhere").database(stranger))
    assert tables(server, stranger) == []


def test_the_load_runs_on_the_database_that_is_meant(
    bench: Bench, stranger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.sql("CREATE TABLE hit (at timestamptz DEFAULT clock_timestamp())")
    (script := tmp_path / "hit.sql").write_text("INSERT INTO hit DEFAULT VALUES;\n")
    target = ways(bench, stranger, tmp_path, monkeypatch)["a service"]
    monkeypatch.delenv("PGDATABASE")  # pgbench looked for a database named as its user
    with application_load.running(target, clients=1, rate=50, scripts=lambda: [script]) as load:
        load.least_s = 1
    assert load.result.processed > 0
    assert load.result.errors == ()
    assert bench.sql("SELECT count(*) > 0 FROM hit") == [(True,)]


def test_a_phase_by_services_works_on_target_and_scratch_server_alone(
    project: Project,
    unprepared: Target,
    newest_server: Server,
    own_newest_server: Callable[..., Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = own_newest_server()
    with (
        psycopg.connect(**newest_server.parameters) as here,
        psycopg.connect(**other.parameters) as there,
    ):
        for (role,) in here.execute(
            "SELECT rolname FROM pg_roles WHERE NOT starts_with(rolname, 'pg_') AND NOT rolsuper"
        ):
            there.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    written = {
        "mine": unprepared.parameters,
        "scratch": other.parameters,
        "own": newest_server.parameters,
    }
    blocks = (
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in parameters.items())
        for name, parameters in written.items()
    )
    (tmp_path / "services.conf").write_text("".join(blocks))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services.conf"))
    monkeypatch.setenv("PGSERVICE", "scratch")
    project.limit("scratch", '"other"')
    left_by_others = scratch_databases(unprepared)
    words = (
        "run",
        "--phases",
        "0",
        "--target",
        "mine",
        "--environment",
        "development",
        "--scratch",
    )
    refused = project.call(*words, "own")
    assert (refused.exit_code, project.runs()) == (2, [])
    assert (
        "found own, which is the server of target mine itself, expected a target on another server"
        in refused.output
    )
    done = project.call(*words, "scratch")
    assert done.exit_code == 0, done.output
    for server, names in ((other, {"postgres", "template0", "template1"}), (newest_server, set())):
        with psycopg.connect(**server.parameters) as connection:
            databases = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
            assert not names or databases == names
        assert tables(server, "postgres") == []
    assert scratch_databases(unprepared) == left_by_others


def test_psql_looks_where_it_is_before_it_works(
    bench: Bench, stranger: str, tmp_path: Path
) -> None:
    """Broken on purpose: the command line is turned to another database after it was made."""
    made = commands.command("psql", bench.target, "--command=CREATE TABLE wrong ()")
    turned = tuple(
        word.replace(bench.target.parameters["dbname"], stranger) if "dbname=" in word else word
        for word in made.arguments
    )
    assert turned != made.arguments
    done = subprocess.run(turned, env=made.environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"this is database {stranger} of another place than the one meant" in done.stderr


def test_what_was_salvaged_goes_back_where_it_came_from(
    bench: Bench, server: Server, stranger: str, tmp_path: Path
) -> None:
    with connect(bench.target, "salvage") as connection:
        before = catalog.snapshot(connection)
        connection.execute("CREATE TABLE gone (id integer PRIMARY KEY)")
        connection.execute("INSERT INTO gone VALUES (7)")
        kept = salvage.take(connection, salvage.losses(connection, before), tmp_path / "salvage")
    with psycopg.connect(**server.parameters | {"dbname": stranger}, autocommit=True) as connection:
        connection.execute("CREATE TABLE gone (id integer PRIMARY KEY)")
        elsewhere = commands.command("psql", bench.target.database(stranger), "--file=restore.sql")
        run = {
            "cwd": kept.folder,
            "env": elsewhere.environment,
            "capture_output": True,
            "text": True,
        }
        refused = subprocess.run(elsewhere.arguments, **run)  # type: ignore[call-overload]
        assert refused.returncode != 0
        assert "--set=elsewhere=yes" in refused.stderr
        assert connection.execute("SELECT count(*) FROM gone").fetchone() == (0,)
        meant = [*elsewhere.arguments, "--set=elsewhere=yes"]
        assert subprocess.run(meant, **run).returncode == 0  # type: ignore[call-overload]
        assert connection.execute("SELECT id FROM gone").fetchone() == (7,)


def test_no_service_and_no_secret_is_left_for_a_program(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services.conf").write_text(
        "[stray]\nhostaddr=192.0.2.1\noptions=-c work_mem=3MB\nport=1\n"
    )
    stray = {
        "PGSERVICEFILE": str(tmp_path / "services.conf"),
        "PGSERVICE": "stray",
        "PGHOSTADDR": "192.0.2.1",
        "PGDATABASE": "x",
    }
    target = Target(
        "t",
        "variable",
        bench.target.parameters | {"password": SECRET, "options": "-c work_mem=1MB"},
    )
    with monkeypatch.context() as around:
        for name, value in stray.items():
            around.setenv(name, value)
        for name in ("psql", "pg_dump", "pg_restore", "pg_dumpall", "pgbench"):
            made = commands.command(name, target, settings={"maintenance_work_mem": "2MB"})
            assert SECRET not in " ".join(made.arguments) + repr(made)
            assert made.environment["PGPASSWORD"] == SECRET
            assert made.environment["PGOPTIONS"].startswith(
                "-c work_mem=1MB -c statement_timeout=0 "
            )
            assert made.environment["PGOPTIONS"].endswith(" -c maintenance_work_mem=2MB")
            assert not stray.keys() & made.environment.keys()
        with connect(
            bench.target, "test"
        ) as connection:  # no options of its own: the stray service's are not taken
            assert connection.execute("SHOW work_mem").fetchone() == ("4MB",)
    with pytest.raises(
        TargetError, match="cannot be given sslpassword without showing it"
    ) as caught:
        commands.command(
            "psql", Target("t", "variable", bench.target.parameters | {"sslpassword": SECRET})
        )
    assert SECRET not in str(caught.value)


@pytest.mark.skipif(
    not Path("/usr/lib/postgresql/15/bin/pg_repack").exists(), reason="needs pg_repack"
)
def test_pg_repack_rebuilds_in_the_database_that_is_meant(
    bench: Bench, server: Server, stranger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server.version != 15:
        pytest.skip("pg_repack is packaged for 15 here")
    bench.sql("CREATE EXTENSION pg_repack")
    bench.sql("CREATE TABLE fat (id integer PRIMARY KEY, filler text)")
    bench.sql("INSERT INTO fat SELECT g, repeat('x', 200) FROM generate_series(1, 20000) AS g")
    bench.sql("DELETE FROM fat WHERE id % 10 > 0")
    bench.sql("ANALYZE fat")
    for target in ways(bench, stranger, tmp_path, monkeypatch).values():
        assert [
            one.state for one in bloat.rebuild(target, ["fat"], threshold=0.0, smallest=0).tables
        ] == ["rebuilt"]


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Target]:
    """A database on Debian's server with a certificate that it signed itself."""
    debian = chosen().get(15)
    if debian is None:
        pytest.skip("the wheel's server has no TLS")
    with made_server(debian, listen="127.0.0.1", port=free_port()) as server:
        key, certificate = server.data / "server.key", server.data / "server.crt"
        subprocess.run(
            ["openssl", "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-out", certificate, "-keyout", key],
            check=True, capture_output=True,
        )  # fmt: skip
        owner = server.data.stat()
        for path in (key, certificate):
            path.chmod(0o600)
            os.chown(path, owner.st_uid, owner.st_gid)
        with (server.data / "postgresql.conf").open("a") as conf:
            conf.write("ssl = on\n")
        (server.data / "pg_hba.conf").write_text(
            "host all all 127.0.0.1/32 trust\nlocal all all trust\n"
        )
        server.start()
        yield Target("TLS", "variable", server.parameters | {"host": "127.0.0.1"})


def test_a_dump_goes_over_tls_where_the_session_does_and_is_refused_otherwise(
    encrypted: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(encrypted, "test") as connection:
        assert commands.is_encrypted(connection)
    asked = commands.command(
        "psql",
        encrypted,
        "--tuples-only",
        "--command=SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    )
    assert programs.run(asked).stdout.split() == ["t"]
    assert "sslmode=require" in " ".join(asked.arguments)
    assert backup.take(encrypted, tmp_path / "backup").sizes
    stricter = Target("TLS", "variable", encrypted.parameters | {"sslmode": "disable"})
    assert "sslmode=disable" in " ".join(commands.command("pg_dump", stricter).arguments)
    wheel = programs.embedded_folder()
    assert wheel is not None
    monkeypatch.setenv("MANTIS_RUNBOOK_PG_BIN", str(wheel))
    with pytest.raises(
        Refused,
        match="pg_dump cannot encrypt its connection, and the session to this server is encrypted",
    ):
        backup.take(encrypted, tmp_path / "second")
    assert not (tmp_path / "second").exists()


# -- services as libpq reads them ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hostname=db", "unknown key 'hostname'"),
        ("host = db", "unknown key 'host '"),
        (f"password {SECRET}", "a line without an equals sign"),
        ("service=other", "a service within a service"),
        ("ldap://directory/cn=x", "a look-up by LDAP"),
    ],
)
def test_a_line_that_libpq_would_not_read_is_refused_with_its_number(
    line: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "services.conf"
    file.write_text(f"# ours\n[other]\nnonsense\n\n[mine]\nport=5432\n{line}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    with pytest.raises(TargetError) as caught:
        resolve("mine")
    assert f"service mine: line 7 of {file}: found {words}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_service_says_what_libpq_takes_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, system = tmp_path / "own.conf", tmp_path / "pg_service.conf"
    own.write_text("[twice]\nhost=first\nhost=second\npassword=a=b # c\n[twice]\nport=1\n")
    system.write_text("[twice]\nhost=never\n[system]\nhost=/var/run\n  dbname=indented\n")
    monkeypatch.setenv("PGSERVICEFILE", str(own))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path))
    monkeypatch.setenv("PGUSER", "somebody")
    twice, other = resolve("twice").complete(), resolve("system").complete()
    assert (twice["host"], twice["password"], twice["port"]) == ("first", "a=b # c", "5432")
    assert (twice["user"], twice["dbname"]) == ("somebody", "somebody")
    assert (other["host"], other["dbname"]) == ("/var/run", "indented")
    assert resolve("twice").database("meant").complete()["dbname"] == "meant"


def test_what_decides_where_a_program_arrives_stands_on_its_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = f"postgresql://u:{SECRET}@a.example:5432,b.example:6432/meant"
    uri = f"{place}?target_session_attrs=read-write&keepalives_idle=7"
    monkeypatch.setenv(
        "A_URI",
        f"{uri}&passfile=%2Fp%2Fpass&hostaddr=192.0.2.1,192.0.2.2&options=-c%20work_mem%3D1MB",
    )
    made = commands.aimed(Path("psql"), resolve("A_URI"))
    shown = " ".join(made.arguments)
    for word in (
        "host=a.example,b.example",
        "hostaddr=192.0.2.1,192.0.2.2",
        "port=5432,6432",
        "dbname=meant",
        "keepalives_idle=7",
    ):
        assert word in shown
    kept = {
        "PGPASSWORD": SECRET,
        "PGPASSFILE": "/p/pass",
        "PGTARGETSESSIONATTRS": "read-write",
        "PGOPTIONS": "-c work_mem=1MB",
    }
    assert kept.items() <= made.environment.items()
    assert not any(word in shown for word in (SECRET, "/p/pass", "work_mem"))


# -- scratch databases -----------------------------------------------------------------------------


def begun(target: Target, environment: str = "development") -> run.Run:
    return run.start(target, settings.environment(environment), "tester", phases={})


def test_no_two_runs_share_the_name_of_a_scratch_database(
    bench: Bench, stranger: str, reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begun(bench.target)
    other = replace(first, identity=replace(first.identity, database=stranger))
    names = {scratch.name_for(one, "0") for one in (first, begun(bench.target), other)}
    assert len(names) == 3
    monkeypatch.setattr(
        archive, "create", lambda name: clone
    )  # another clone of the project, in the same second
    (clone := tmp_path / first.name).mkdir()
    again = begun(bench.target)
    assert again.name == first.name
    assert scratch.name_for(again, "0") != scratch.name_for(first, "0")
    assert scratch.name_for(first, "0") == scratch.name_for(replace(first), "0")
    assert scratch.name_for(first, "0") != scratch.name_for(first, "1")


def test_nobody_else_enters_a_scratch_database_or_a_copy_of_it(
    bench: Bench, server: Server
) -> None:
    bench.sql("DROP ROLE IF EXISTS curious")
    bench.sql("DROP ROLE IF EXISTS maker")
    bench.sql("CREATE ROLE curious LOGIN")
    bench.sql("CREATE ROLE maker LOGIN CREATEDB")  # no superuser is needed
    maker = Target("maker", "variable", bench.target.parameters | {"user": "maker"})
    made = create_scratch(maker, "mantis_scratch_closed")
    try:
        with replay.copied(made) as copy:
            for place in (made, copy):
                with pytest.raises(TargetError, match="permission denied for database"):
                    connect(Target("c", "variable", place.parameters | {"user": "curious"}), "test")
                with connect(place, "test") as ours:
                    assert ours.execute("SELECT current_database()").fetchone() == (
                        place.parameters["dbname"],
                    )
    finally:
        drop_scratch(bench.target, "mantis_scratch_closed")
        bench.sql("DROP ROLE curious")
        bench.sql("DROP ROLE maker")


def killed(target: Target) -> str:
    """A scratch database whose maker was killed."""
    code = (
        "import os, signal, sys; from mantis_runbook.backup import backup; from"
        " mantis_runbook.backup import scratch; from mantis_runbook.postgres.target import"
        " resolve\nmark = scratch.mark_of('20260101T000000Z-killed', 'TEST_DSN',"
        " 'x')\nscratch.create_scratch(resolve('TEST_DSN'), 'mantis_scratch_killed', mark=mark);"
        " os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == -9
    )
    return "mantis_scratch_killed"


def test_what_a_killed_run_left_is_named_and_dropped_and_what_a_living_one_uses_is_not(
    bench: Bench, reports: Path
) -> None:
    left, ours, unmarked = killed(bench.target), "mantis_scratch_alive", "mantis_scratch_unmarked"
    create_scratch(bench.target, ours)
    bench.sql(f"CREATE DATABASE {unmarked}")
    try:

        def call(*words: str) -> tuple[int, str]:
            done = CliRunner().invoke(cli.main, [*words, "--target", "TEST_DSN"])
            return done.exit_code, done.output

        said = call("status")[1]
        assert f"{left}, " in said
        assert "left by a run that was killed (run 20260101T000000Z-killed on TEST_DSN" in said
        assert f"{ours}, " in said
        assert "in use by process" in said
        code, said = call("clean")
        assert (code, "nothing was dropped; run it with --yes" in said) == (0, True)
        with connect(bench.target.database(left), "test"):
            assert "nothing to drop" in call("clean", "--yes")[1]
        code, said = call("clean", "--yes")
        assert (code, said.splitlines()[-1]) == (0, f"dropped {left}")
        assert call("clean", ours, "--yes")[0] == 2
        assert call("clean", "postgres", "--yes")[0] == 2
        assert f"dropped {unmarked}" in call("clean", unmarked, "--yes")[1]
        assert has_scratch(bench.target, ours)
    finally:
        for name in (left, ours, unmarked):
            drop_scratch(bench.target, name)


def test_a_scratch_server_that_is_the_targets_own_is_no_other(
    bench: Bench, own_server: Callable[..., Server]
) -> None:
    """By whatever name or address it is reached."""
    other = own_server()
    scratch.refuse_same_server(
        bench.target, Target("other", "variable", other.parameters), "production"
    )
    with pytest.raises(
        Refused,
        match=(
            "found again, which is the server of target TEST_DSN itself, expected a target on"
            " another"
        ),
    ):
        scratch.refuse_same_server(
            bench.target,
            Target("again", "variable", bench.target.database("postgres").parameters),
            "production",
        )


# -- which program ---------------------------------------------------------------------------------


def fake(folder: Path, major: int, *, tls: bool) -> Path:
    """Programs that say a version, and whether they were built with TLS, as the real ones say
    it.
    """
    folder.mkdir()
    said = (
        "connection refused"
        if tls
        else 'sslmode value "require" invalid when SSL support is not compiled in'
    )
    for name in ("psql", "pg_dump"):
        script = (
            f"#!/bin/sh\n[ \"$1\" = --version ] && echo 'x (PostgreSQL) {major}.1' && exit\necho"
            f" '{said}' >&2\nexit 1\n"
        )
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return folder


def test_the_servers_own_programs_come_before_the_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = [fake(tmp_path / f"packaged-{major}", major, tls=True) for major in (15, 17, 19)]
    wheel = fake(tmp_path / "wheel", 18, tls=False)
    monkeypatch.setattr(programs, "folders", lambda: [*packaged, wheel])
    wanted = {15: "packaged-15", 16: "packaged-17", 18: "wheel", 19: "packaged-19"}
    assert {major: programs.find("pg_dump", server=major).parent.name for major in wanted} == wanted
    assert programs.find("pg_dump", server=18, encrypted=True).parent.name == "packaged-19"
    monkeypatch.setattr(programs, "folders", lambda: [wheel])
    only = programs.find("pg_dump", server=18, encrypted=True)
    with pytest.raises(Refused, match="built without TLS, expected a pg_dump built with TLS"):
        programs.refuse_clear(only)


def test_the_wheels_folder_is_the_last_that_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MANTIS_RUNBOOK_PG_BIN", raising=False)
    embedded = programs.embedded_folder()
    if embedded is not None and str(embedded) not in os.environ["PATH"]:
        assert programs.folders()[-1] == embedded
    monkeypatch.setenv("MANTIS_RUNBOOK_PG_BIN", "/chosen")
    assert programs.folders() == [Path("/chosen")]
