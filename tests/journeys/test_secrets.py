"""A password goes to the server, and nowhere else."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from project import Project

from mantis_runbook import sandbox
from mantis_runbook.postgres.server import Server, free_port

#: Awkward in a URI, in a shell and in HTML; no other text will hold it by chance.
PASSWORD = "x7Qp'&<w3-§zR"


def arguments(needles: list[bytes], over: threading.Event) -> Callable[[], list[str]]:
    """Watches the arguments of every process on this machine until it is asked what it saw."""
    seen: set[str] = set()

    def watch() -> None:
        while not over.wait(0.02):
            for entry in Path("/proc").glob("[0-9]*"):
                try:
                    words = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if any(needle in words for needle in needles):
                    seen.add(words.replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()

    def ask() -> list[str]:
        over.set()
        thread.join()
        return sorted(seen)

    return ask


def test_a_password_is_written_nowhere(
    project: Project, own_newest_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    server = own_newest_server(listen="127.0.0.1", port=port)
    with psycopg.connect(**server.parameters, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("CREATE ROLE operator LOGIN SUPERUSER PASSWORD {}").format(
                psycopg.sql.Literal(PASSWORD)
            )
        )
        connection.execute("CREATE DATABASE mantis_db TEMPLATE template0")
    sandbox.load_baseline(server.parameters | {"dbname": "mantis_db"}, scale=0.01, seed=1)
    (server.data / "pg_hba.conf").write_text(
        "host all operator 127.0.0.1/32 scram-sha-256\nlocal all mantis trust\n"
    )
    server.reload()
    written = quote(PASSWORD, safe="")
    monkeypatch.setenv("SECRET_DSN", f"postgresql://operator:{written}@127.0.0.1:{port}/mantis_db")
    project.limit("load_rate", "20.0")

    over = threading.Event()
    watched = arguments([PASSWORD.encode(), written.encode()], over)
    started = project.start(
        "run", "--phases", "0-1", "--target", "SECRET_DSN", "--environment", "development"
    )
    told, _ = started.communicate(timeout=300)
    assert started.returncode == 0, told
    wrong = PASSWORD[:-1] + "y"
    monkeypatch.setenv(
        "SECRET_DSN", f"postgresql://operator:{quote(wrong, safe='')}@127.0.0.1:{port}/mantis_db"
    )
    told += project.call("run", "--target", "SECRET_DSN").output
    assert watched() == []

    for text in (PASSWORD, written, wrong, quote(wrong, safe="")):
        assert text not in told
        needle = text.encode()
        holders = [
            path
            for path in project.home.rglob("*")
            if path.is_file() and needle in path.read_bytes()
        ]
        assert holders == []
    kinds = {path.suffix for path in project.run().rglob("*") if path.is_file()}
    assert {".ipynb", ".html", ".jsonl", ".json"} <= kinds, "there was something to look through"


def test_the_watch_over_arguments_can_see(tmp_path: Path) -> None:
    over = threading.Event()
    watched = arguments([b"needle-in-arguments"], over)
    subprocess.run(["sh", "-c", "sleep 0.3 # needle-in-arguments"], check=True)
    assert watched() != []
