"""Alerts: each occasion reaches a real receiver; one that cannot be delivered is told, stops
nothing, and leaks nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from project import Project

from mantis_runbook import settings
from mantis_runbook.errors import ParameterError
from mantis_runbook.postgres.server import free_port
from mantis_runbook.postgres.target import Target
from mantis_runbook.runs import alerts
from mantis_runbook.runs.alerts import Alert, Alerts, Delivery
from mantis_runbook.runs.journal import Journal
from mantis_runbook.settings import GuardLimits
from mantis_runbook.watch.guard import Guard
from tests.journeys.test_secrets import arguments

#: No other text will hold them by chance.
PASSWORD, TOKEN = "x7Qp3wzR9k", "hook-8831-qq"

ALERT = Alert("verdict", "a title", "a body", "failure")


class Channel:
    """What a team uses: it keeps what it was sent, and answers with `status`, after `answering` is
    set.
    """

    def __init__(self) -> None:
        self.got: list[dict[str, str]] = []
        self.status, self.answering = 200, threading.Event()
        self.answering.set()
        channel = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                channel.got.append(json.loads(self.rfile.read(length)) | {"path": self.path})
                channel.answering.wait(60)
                self.send_response(channel.status)
                self.end_headers()

            def log_message(self, *said: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"json://operator:{PASSWORD}@127.0.0.1:{self.server.server_port}/{TOKEN}"

    def of(self, part: str) -> list[dict[str, str]]:
        return [one for one in self.got if part in one["title"]]


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    """A receiver that the default variable points to."""
    channel = Channel()
    monkeypatch.setenv(settings.ALERTS, channel.url)
    yield channel
    channel.answering.set()
    channel.server.shutdown()
    channel.server.server_close()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL where nobody listens; the default variable holds it."""
    url = f"json://operator:{PASSWORD}@127.0.0.1:{free_port()}/{TOKEN}"
    monkeypatch.setenv(settings.ALERTS, url)
    return url


@pytest.fixture
def nothing_leaks(project: Project) -> Iterator[Callable[[str], None]]:
    """Holds what a command printed, every file of the project and every process's arguments against
    the secrets.
    """
    needles = [PASSWORD.encode(), TOKEN.encode()]
    over = threading.Event()
    watched = arguments(needles, over)

    def check(told: str) -> None:
        assert watched() == []
        assert [needle for needle in needles if needle.decode() in told] == []
        files = [path for path in project.home.rglob("*") if path.is_file()]
        assert [
            path for path in files if any(needle in path.read_bytes() for needle in needles)
        ] == []
        assert {".ipynb", ".html", ".jsonl", ".json"} <= {path.suffix for path in files}

    yield check
    over.set()


# -- occasions -------------------------------------------------------------------------------------


def test_a_trip_of_the_guard_and_the_verdict_reach_the_team(
    project: Project, prepared: Target, channel: Channel, nothing_leaks: Callable[[str], None]
) -> None:
    project.limit("disk_left_mb", "100_000_000")  # more than there is: trips with the first figure
    done = project.call(
        "run", "--phases", "1", "--target", "TEST_DSN", "--environment", "development"
    )
    assert done.exit_code == 1, done.output
    (trip,) = channel.of("the guard stopped phase 1 on TEST_DSN")
    assert "disk left" in trip["message"]
    assert trip["message"].endswith(
        "below the limit of 100,000,000 MB; what was done is rolled back"
    )
    (verdict,) = channel.of("failed on TEST_DSN (development)")
    assert verdict["message"].startswith(f"run {project.run().name} by ")
    assert verdict["message"].endswith(f"report: {project.run() / 'index.html'}")
    assert (trip["type"], verdict["type"], verdict["path"]) == ("failure", "failure", f"/{TOKEN}")
    assert [one["occasion"] for one in project.events("alert.sent")] == ["guard tripped", "verdict"]
    assert project.events("alert.failed") == []
    nothing_leaks(done.output)


def test_a_run_that_is_refused_for_want_of_approval_tells_who_can_give_it(
    project: Project, prepared: Target, channel: Channel
) -> None:
    done = project.call("run", "--phases", "1", "--target", "TEST_DSN", "--environment", "staging")
    assert done.exit_code == 2
    (alert,) = channel.got
    assert alert["title"] == "Mantis Runbook: approval waiting on TEST_DSN"
    wanted = project.call(
        "plan", "--phases", "1", "--target", "TEST_DSN", "--environment", "staging"
    ).output
    assert alert["message"].split("hash ")[1][:16] == wanted.rsplit("hash: ")[1].strip()
    assert "not delivered" not in done.output


def test_a_notebook_that_waits_for_an_approval_tells_once(
    project: Project, prepared: Target, channel: Channel
) -> None:
    project.limit("unsafe_durability", "true")
    with pytest.raises(Exception, match="ApprovalMissing"):
        project.papermill(
            "01_core_enhancements", parameters={"target": "TEST_DSN", "environment": "staging"}
        )
    (alert,) = channel.of("approval waiting on TEST_DSN")
    assert f"run {project.run().name}, phase 1 (Core enhancements) in staging" in alert["message"]
    assert [one["occasion"] for one in project.events("alert.sent")] == ["approval waiting"]


# -- what cannot be delivered ----------------------------------------------------------------------


def test_an_alert_that_nobody_takes_is_told_and_stops_nothing(
    project: Project, prepared: Target, nobody: str, nothing_leaks: Callable[[str], None]
) -> None:
    done = project.call(
        "run", "--phases", "1", "--target", "TEST_DSN", "--environment", "development"
    )
    assert done.exit_code == 0, done.output
    (failed,) = project.events("alert.failed")
    assert (failed["occasion"], failed["services"], failed["variable"]) == (
        "verdict",
        1,
        settings.ALERTS,
    )
    assert failed["reason"] == "service 1 of 1, JSON: no connection"
    said = (
        "was not delivered: service 1 of 1, JSON: no connection (URLs from the variable"
        " MANTIS_RUNBOOK_ALERTS)"
    )
    assert said in done.output
    assert said in (project.run() / "index.html").read_text()
    assert any(
        said in one["what"] and one["grade"] == "warned" for one in project.summary()["deviations"]
    )
    assert project.call("verify", "--target", "TEST_DSN").exit_code == 0
    nothing_leaks(done.output)


def test_an_approval_is_refused_all_the_same_when_nobody_can_be_told(
    project: Project, prepared: Target, nobody: str
) -> None:
    done = project.call("run", "--phases", "1", "--target", "TEST_DSN", "--environment", "staging")
    assert done.exit_code == 2
    assert "was not delivered: service 1 of 1, JSON: no connection" in done.output
    assert PASSWORD not in done.output


@pytest.mark.parametrize(
    ("value", "services", "problem"),
    [
        ("", 0, "the variable CHANNEL is not set"),
        (
            f"nonsense://{TOKEN}",
            0,
            "the variable CHANNEL holds a URL that apprise does not understand",
        ),
        (
            f"just some words {TOKEN}",
            0,
            "the variable CHANNEL holds a URL that apprise does not understand",
        ),
        ("json://no-such-host.invalid/x", 1, "service 1 of 1, JSON: no connection"),
    ],
)
def test_what_is_wrong_with_a_variable_is_said_without_its_value(
    value: str, services: int, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANNEL", value)
    assert alerts.deliver("CHANNEL", ALERT) == Delivery(services, (problem,))


def test_one_service_that_refuses_does_not_keep_the_others_from_hearing(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Channel()
    other.status = 503
    monkeypatch.setenv(settings.ALERTS, f"{other.url} {channel.url}")
    assert alerts.deliver(settings.ALERTS, ALERT) == Delivery(
        2, ("service 1 of 2, JSON: HTTP status 503",)
    )
    assert [one["message"] for one in channel.got] == ["a body"]
    other.server.shutdown()


def test_a_service_that_never_answers_holds_nothing_up(
    channel: Channel, tmp_path: Path, database: Target
) -> None:
    """The guard trips, and goes on to cancel, while the alert is under way; the limit ends it."""
    channel.answering.clear()
    team = Alerts(settings.ALERTS, Journal(tmp_path), limit_s=2)
    environment = settings.environment("development").model_copy(
        update={"guard": GuardLimits(deadlocks=1)}
    )
    told: list[float] = []

    def tell(trip: object) -> None:
        began = time.monotonic()
        team.send(ALERT)
        told.append(time.monotonic() - began)

    with Guard(database, environment, told=tell) as guard:
        from tests.watch.test_guard import reading

        guard.take(reading(deadlocks=1))
        guard.take(reading(deadlocks=2))
        assert guard.trip is not None
    assert len(told) == 1, "a second limit is not a second trip"
    assert told[0] < 0.2
    assert Journal(tmp_path).entries() == []
    began = time.monotonic()
    team.settle()
    assert time.monotonic() - began < 2 + alerts.PROCESS_S
    (entry,) = Journal(tmp_path).entries()
    assert (entry.event, entry.facts["reason"]) == (
        "alert.failed",
        "service 1 of 1, JSON: no answer within 2 s",
    )


# -- where to --------------------------------------------------------------------------------------


def test_without_a_variable_nothing_is_sent_and_nothing_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(settings.ALERTS, raising=False)
    for name in (settings.ALERTS, ""):
        team = Alerts(name, Journal(tmp_path))
        team.send(ALERT)
        team.settle()
    assert Journal(tmp_path).entries() == []


def test_another_variable_was_named_on_purpose_so_it_must_hold_something(tmp_path: Path) -> None:
    team = Alerts("NO_SUCH_VARIABLE", Journal(tmp_path))
    team.send(ALERT)
    team.settle()
    (entry,) = Journal(tmp_path).entries()
    assert alerts.undelivered([entry]) == [
        "the alert “a title” was not delivered: the variable NO_SUCH_VARIABLE is not set (URLs from"
        " the variable NO_SUCH_VARIABLE)"
    ]


def test_a_url_in_the_settings_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Path(settings.__file__).with_name("environments.toml").read_text()
    path = tmp_path / "environments.toml"
    path.write_text(
        original.replace('alerts = "MANTIS_RUNBOOK_ALERTS"', f'alerts = "slack://{TOKEN}"', 1)
    )
    monkeypatch.setenv("MANTIS_RUNBOOK_ENVIRONMENTS", str(path))
    settings.environments.cache_clear()
    try:
        with pytest.raises(ParameterError) as refused:
            settings.environments()
    finally:
        settings.environments.cache_clear()
    assert (
        str(refused.value)
        == "environments.toml: setting alerts: found something else, not shown here, expected the"
        " name of an environment variable, or nothing; the urls themselves go into that"
        " variable; correct the file and run again"
    )
