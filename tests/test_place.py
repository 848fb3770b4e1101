"""The right database: whatever a service or the environment says, programs and sessions reach the one that is meant."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from conftest import chosen, fresh_database
from workbench import Bench

from mantis_runbook import backup, bloat, catalog, commands, programs, salvage, workload
from mantis_runbook.database import connect
from mantis_runbook.errors import Refused, TargetError
from mantis_runbook.server import Server, free_port
from mantis_runbook.target import Target, resolve

SECRET = "hunter2-geheim"


@pytest.fixture
def stranger(server: Server) -> Iterator[str]:
    """A database that nobody means."""
    with fresh_database(server, "template0") as parameters:
        yield parameters["dbname"]


def ways(bench: Bench, stranger: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Target]:
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
    monkeypatch.setenv("A_URI", f"postgresql://{parameters['user']}@{host}:{port}/{meant}?service=elsewhere")
    return {
        "a service": resolve("meant"),
        "a service, another database": resolve("elsewhere").database(meant),
        "PG with a service, another database": resolve("PG").database(meant),
        "a uri": resolve("A_URI"),
        "several hosts": Target("many", "variable", parameters | {
            "host": f"/nonexistent,{parameters['host']}", "port": f"5432,{port}", "target_session_attrs": "read-write",
        }),
    }  # fmt: skip


def tables(server: Server, name: str) -> list[str]:
    with psycopg.connect(**server.parameters | {"dbname": name}) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
        )
        return [name for (name,) in found]


def test_every_program_reaches_the_database_that_is_meant_and_no_other(
    bench: Bench, server: Server, stranger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red with the service in the child's environment: each of these worked on the stranger's database."""
    meant = bench.target.parameters["dbname"]
    bench.sql("CREATE TABLE meant (id integer PRIMARY KEY)")
    script = tmp_path / "script.sql"
    for number, (way, target) in enumerate(ways(bench, stranger, tmp_path, monkeypatch).items()):
        script.write_text(f"CREATE TABLE made_{number} (id integer);\n")
        programs.run(commands.command("psql", target, f"--file={script}"))
        script.write_text("INSERT INTO meant SELECT coalesce(max(id), 0) + 1 FROM meant;\n")
        programs.run(commands.command("pgbench", target, "--no-vacuum", "--transactions=1", f"--file={script}"))
        dump = programs.run(commands.command("pg_dump", target, "--schema-only")).stdout
        assert "CREATE TABLE public.meant" in dump, way
        assert "CREATE ROLE" in programs.run(commands.command("pg_dumpall", target, "--globals-only")).stdout, way
        assert f"made_{number}" in tables(server, meant), way
    assert tables(server, stranger) == []
    assert bench.sql("SELECT count(*) FROM meant") == [(5,)]


def test_a_copy_is_restored_into_the_scratch_database_and_nowhere_else(
    bench: Bench, server: Server, stranger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Target and scratch server are both named by a service whose database is another one."""
    bench.sql("CREATE TABLE meant AS SELECT generate_series(1, 10) AS id")
    named = ways(bench, stranger, tmp_path, monkeypatch)
    for number, way in enumerate(("a service, another database", "PG with a service, another database")):
        taken = backup.take(named[way], tmp_path / f"backup-{number}", derived=True)
        assert taken.database == bench.target.parameters["dbname"]
        for prove in (backup.prove, backup.prove_derived):
            scratch = backup.create_scratch(resolve("elsewhere"), "mantis_scratch_place")
            try:
                assert prove(taken, scratch)
                assert "meant" in tables(server, "mantis_scratch_place")
            finally:
                backup.drop_scratch(resolve("elsewhere"), "mantis_scratch_place")
        with pytest.raises(
            Refused, match=f"would be restored into database {stranger}; expected|would be restored into"
        ):
            backup.prove(taken, resolve("elsewhere").database(stranger))
    assert tables(server, stranger) == []


def test_the_load_runs_on_the_database_that_is_meant(
    bench: Bench, stranger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.sql("CREATE TABLE hit (at timestamptz DEFAULT clock_timestamp())")
    (script := tmp_path / "hit.sql").write_text("INSERT INTO hit DEFAULT VALUES;\n")
    target = ways(bench, stranger, tmp_path, monkeypatch)["PG with a service, another database"]
    with workload.running(target, clients=1, rate=50, scripts=lambda: [script]) as load:
        load.least_s = 1
    assert load.result.transactions > 0
    assert load.result.errors == ()
    assert bench.sql("SELECT count(*) > 0 FROM hit") == [(True,)]


def test_psql_looks_where_it_is_before_it_works(bench: Bench, stranger: str, tmp_path: Path) -> None:
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
        run = {"cwd": kept.folder, "env": elsewhere.environment, "capture_output": True, "text": True}
        refused = subprocess.run(elsewhere.arguments, **run)  # type: ignore[call-overload]
        assert refused.returncode != 0
        assert "--set=elsewhere=yes" in refused.stderr
        assert connection.execute("SELECT count(*) FROM gone").fetchone() == (0,)
        meant = [*elsewhere.arguments, "--set=elsewhere=yes"]
        assert subprocess.run(meant, **run).returncode == 0  # type: ignore[call-overload]
        assert connection.execute("SELECT id FROM gone").fetchone() == (7,)


def test_no_service_and_no_secret_is_left_for_a_program(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGSERVICE": "x", "PGHOSTADDR": "192.0.2.1", "PGDATABASE": "x", "PGSSLMODE": "prefer"}.items():
        monkeypatch.setenv(name, value)
    target = Target("t", "variable", bench.target.parameters | {"password": SECRET, "options": "-c work_mem=1MB"})
    for name in ("psql", "pg_dump", "pg_restore", "pg_dumpall", "pgbench"):
        made = commands.command(name, target, settings={"maintenance_work_mem": "2MB"})
        assert SECRET not in " ".join(made.arguments) + repr(made)
        assert made.environment["PGPASSWORD"] == SECRET
        assert made.environment["PGOPTIONS"] == "-c work_mem=1MB -c maintenance_work_mem=2MB"
        assert not {"PGSERVICE", "PGHOSTADDR", "PGDATABASE"} & set(made.environment)
    with pytest.raises(TargetError, match="cannot be given sslpassword without showing it") as caught:
        commands.command("psql", Target("t", "variable", bench.target.parameters | {"sslpassword": SECRET}))
    assert SECRET not in str(caught.value)


@pytest.mark.skipif(not Path("/usr/lib/postgresql/15/bin/pg_repack").exists(), reason="needs pg_repack")
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
        assert [one.state for one in bloat.rebuild(target, threshold=0.0, smallest=0).tables] == ["rebuilt"]


# -- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Target]:
    """A database on Debian's server with a certificate that it signed itself."""
    from conftest import made_server

    debian = chosen().get(15)
    if debian is None:
        pytest.skip("the wheel's server has no TLS")
    with made_server(debian, listen="127.0.0.1", port=free_port()) as server:
        key, certificate = server.data / "server.key", server.data / "server.crt"
        subprocess.run(
            ["openssl", "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-out", certificate, "-keyout", key],
            check=True, capture_output=True,
        )  # fmt: skip
        owner = server.data.stat()
        for path in (key, certificate):
            path.chmod(0o600)
            __import__("os").chown(path, owner.st_uid, owner.st_gid)
        with (server.data / "postgresql.conf").open("a") as conf:
            conf.write("ssl = on\n")
        (server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\nlocal all all trust\n")
        server.start()
        yield Target("TLS", "variable", server.parameters | {"host": "127.0.0.1"})


def test_a_dump_goes_over_tls_where_the_session_does_and_is_refused_otherwise(
    encrypted: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(encrypted, "test") as connection:
        assert commands.is_encrypted(connection)
    asked = commands.command(
        "psql", encrypted, "--tuples-only", "--command=SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
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
        Refused, match="pg_dump cannot encrypt its connection, and the session to this server is encrypted"
    ):
        backup.take(encrypted, tmp_path / "second")
    assert not (tmp_path / "second").exists()
