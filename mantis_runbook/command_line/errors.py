"""What the end of a command means: one message and an exit code, never a traceback."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from mantis_runbook.errors import RunbookError

__all__ = ["told"]

#: What a shell calls a program that SIGPIPE ended: neither passed nor failed, its output was not
#: read to the end.
PIPE_CLOSED = 141


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """An error of ours becomes one message and its exit code; never a traceback, never half a
    word.
    """

    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        import psycopg  # needed by every command that works, and by no help

        from mantis_runbook.postgres.connection import ENDED, message_of

        try:
            return function(*arguments, **options)
        except RunbookError as error:
            click.secho(f"{type(error).__name__}: {error}", err=True, fg="red")
            sys.exit(error.exit_code)
        except psycopg.Error as error:
            words = message_of(error)
            what = (
                "the connection to the server was lost"
                if error.sqlstate in (None, *ENDED)
                else "the server refused"
            )
            click.secho(f"{what}: {words} [SQLSTATE {error.sqlstate}]", err=True, fg="red")
            sys.exit(1)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout.fileno()):
                # What is left in the buffer would complain once more when the interpreter closes
                # it.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(PIPE_CLOSED)
            click.secho(
                f"{error.filename or 'the system'}: {error.strerror or error}", err=True, fg="red"
            )
            sys.exit(1)
        except KeyboardInterrupt:
            click.secho(
                "interrupted; run the same command again: it resumes where this one stopped",
                err=True,
                fg="yellow",
            )
            sys.exit(3)

    return wrapped


def _is_unread(output: int) -> bool:
    """Whether the reader of this pipe has gone, as `| head` does when it has seen enough."""
    asked = select.poll()
    asked.register(output, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in asked.poll(0))
