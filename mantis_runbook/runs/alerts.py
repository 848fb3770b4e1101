"""Alerts to the team's own channels (apprise); whatever becomes of one, it stops nothing.

Delivery is a process of its own (`python -m mantis_runbook.runs.alerts`), which alone reads the
variable that holds the URLs: they never reach the journal, a notebook, a traceback or the arguments
of a process. The alert goes to it through stdin, one JSON object, and what became of it comes back
through stdout.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mantis_runbook.runs.journal import Journal
from mantis_runbook.runs.load_figures import Recorded
from mantis_runbook.settings import ALERTS

if TYPE_CHECKING:
    from apprise import NotifyBase

__all__ = ["LIMIT_S", "Alert", "Alerts", "Delivery", "deliver", "is_wanted", "undelivered"]

#: Seconds until a service must have taken an alert, and those a process has on top of it to begin
#: and to end.
LIMIT_S, PROCESS_S = 10.0, 5.0

SENT, FAILED = "alert.sent", "alert.failed"

STATUS = re.compile(r"error=(\d{3})")

Kind = Literal["info", "success", "warning", "failure"]


@dataclass(frozen=True)
class Alert:
    """What is to be told. `occasion` is one of: guard tripped, verdict, approval waiting."""

    occasion: str
    title: str
    body: str
    kind: Kind = "info"


@dataclass(frozen=True)
class Delivery:
    """What became of an alert: how many services it went to, and why any did not accept it."""

    services: int
    problems: tuple[str, ...] = ()


class Alerts:
    """The alerts of one run: each is sent beside what goes on, and what became of it is journalled.

    `variable` is the name of the environment variable that holds apprise's URLs.
    """

    def __init__(self, variable: str, journal: Journal, *, limit_s: float = LIMIT_S) -> None:
        self._variable, self._journal, self._limit_s = variable, journal, limit_s
        self._under_way: list[threading.Thread] = []

    def send(self, alert: Alert) -> None:
        """Send it and return at once; nothing is raised."""
        if is_wanted(self._variable):
            thread = threading.Thread(target=self._send, args=(alert,), name="alert", daemon=True)
            with suppress(
                RuntimeError
            ):  # no more threads to be had: the caller may be the guard, which has to go on
                thread.start()
                self._under_way.append(thread)

    def settle(self) -> None:
        """Wait for alerts under way, within the limit, so that the journal names their fate."""
        while self._under_way:
            self._under_way.pop().join(self._limit_s + PROCESS_S)

    def _send(self, alert: Alert) -> None:
        delivery = deliver(self._variable, alert, limit_s=self._limit_s)
        facts: dict[str, Any] = {
            "occasion": alert.occasion,
            "title": alert.title,
            "variable": self._variable,
        }
        with suppress(OSError):  # no disk left: the migration has worse to tell
            if delivery.problems:
                self._journal.append(
                    FAILED, **facts, services=delivery.services, reason="; ".join(delivery.problems)
                )
            else:
                self._journal.append(SENT, **facts, services=delivery.services)


def is_wanted(variable: str) -> bool:
    """Whether there is anything to send to.

    A variable other than the default was named on purpose, so it must be set.
    """
    return variable not in ("", ALERTS) or bool(os.environ.get(variable))


def deliver(variable: str, alert: Alert, *, limit_s: float = LIMIT_S) -> Delivery:
    """Send an alert to the URLs in that variable, in `limit_s` seconds at most.

    Never raises, never tells a URL.
    """
    if not os.environ.get(variable, "").strip():
        return Delivery(0, (f"the variable {variable} is not set",))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "mantis_runbook.runs.alerts"],
            input=json.dumps({"variable": variable, "limit_s": limit_s, "alert": asdict(alert)}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=limit_s + PROCESS_S,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
        answer = json.loads(done.stdout)
        return Delivery(answer["services"], tuple(answer["problems"]))
    except subprocess.TimeoutExpired:
        return Delivery(
            0, (f"the process that sends alerts did not end within {limit_s + PROCESS_S:g} s",)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Delivery(0, (f"the process that sends alerts failed ({type(error).__name__})",))


def undelivered(entries: Iterable[Recorded]) -> list[str]:
    """One sentence for each alert of this journal that did not reach everybody. Pure."""
    return [
        f"the alert “{entry.facts.get('title', '')}” was not delivered:"
        f" {entry.facts.get('reason', '')} (URLs from the variable"
        f" {entry.facts.get('variable', '')})"
        for entry in entries
        if entry.event == FAILED
    ]


# The process that delivers
# ---------------------------------------------------------------------------------------


class _Said(logging.Handler):
    """Why a service refused, in words of ours: apprise's own may name a host or a token."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: dict[int | None, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        status = STATUS.search(text)
        self.words[record.thread] = (
            f"HTTP status {status[1]}"
            if status
            else "no connection"
            if "onnection" in text
            else "refused"
        )


def _deliver_here(variable: str, limit_s: float, alert: Alert) -> Delivery:
    import apprise

    logger, listener = logging.getLogger("apprise"), _Said()
    logger.handlers, logger.propagate = [listener], False
    services = apprise.Apprise(
        asset=apprise.AppriseAsset(app_id="Mantis Runbook", app_desc="Mantis Runbook")
    )
    understood = services.add(os.environ[variable])
    problems = (
        []
        if understood
        else [f"the variable {variable} holds a URL that apprise does not understand"]
    )
    outcomes: dict[int, str] = {}

    def tell(number: int, service: NotifyBase) -> None:
        try:
            taken = bool(
                service.notify(
                    title=alert.title, body=alert.body, notify_type=apprise.NotifyType(alert.kind)
                )
            )
            outcomes[number] = "" if taken else listener.words.get(threading.get_ident(), "refused")
        except Exception as error:  # a plugin's own: its message may hold the URL
            outcomes[number] = type(error).__name__

    every = list(services)
    threads = [threading.Thread(target=tell, args=pair, daemon=True) for pair in enumerate(every)]
    for thread in threads:
        thread.start()
    over = threading.Event()
    threading.Timer(limit_s, over.set).start()
    while any(thread.is_alive() for thread in threads) and not over.wait(0.05):
        pass
    late = f"no answer within {limit_s:g} s"
    answers = [(service, outcomes.get(number, late)) for number, service in enumerate(every)]
    failed = [
        f"service {number} of {len(every)}, {_kind(service)}: {why}"
        for number, (service, why) in enumerate(answers, 1)
        if why
    ]
    return Delivery(len(every), (*problems, *failed))


def _kind(service: NotifyBase) -> str:
    """The service's kind, such as JSON or Slack, as apprise's own class has it."""
    return type(service).__name__.removeprefix("Notify")


def _main() -> None:
    order = json.loads(sys.stdin.read())
    try:
        delivery = _deliver_here(order["variable"], order["limit_s"], Alert(**order["alert"]))
    except Exception as error:
        delivery = Delivery(0, (f"apprise failed ({type(error).__name__})",))
    sys.stdout.write(json.dumps(asdict(delivery)))
    sys.stdout.flush()
    os._exit(0)  # a service that hangs must not keep the process


if __name__ == "__main__":
    _main()
