"""Options that several commands take, with the same words everywhere."""

from __future__ import annotations

import click

__all__: list[str] = []  # decorators of click, for the commands alone

TARGET = click.option(
    "--target",
    default="",
    metavar="NAME",
    help=(
        "Database to work on: sandbox, a libpq service, PG (the PG* variables), DB (DB_HOST,"
        " DB_PORT, DB_NAME, DB_USER), or the name of a variable holding a connection string."
        " Default: the sandbox."
    ),
)
ENVIRONMENT = click.option(
    "--environment",
    default="",
    metavar="NAME",
    help=(
        "Limits and gates: development, staging or production. Default: development for the"
        " sandbox, else production."
    ),
)
OPERATOR = click.option(
    "--operator",
    default="",
    metavar="WHO",
    help="Who is responsible for this run. Default: your login name.",
)
PHASES = click.option(
    "--phases",
    "wanted",
    default="all",
    metavar="all|N|N-M",
    help="Phases to carry out, such as all, 0, 0-1. Default: all.",
)
SCRATCH = click.option(
    "--scratch",
    default="",
    metavar="NAME",
    help=(
        "Target on whose server backups are restored. Default: beside the target, where the"
        " environment allows it."
    ),
)

#: What a rollback takes back, beside the version that is named: `engine/rolling_back.SCOPES`.
SCOPES = ("only", "after", "from")
