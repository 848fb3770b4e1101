"""The application whose database is migrated, as far as the runbook must know it: what
`sql/application.toml` declares.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mantis_runbook import settings
from mantis_runbook.errors import ParameterError

__all__ = ["Application", "LaterWorkload", "OpenEnum", "Recognition", "Tenants", "load"]

FILE = "application.toml"


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Tenants(_Declared):
    """Who is kept apart from whom: the tables of the tenants and of their users.

    Where they are declared, every phase tries to cross between two of them.
    """

    table: str
    users: str


class Recognition(_Declared):
    """By which tables the application is known: `fewest` of them make it, `later` tables in all a
    version that has gone on.

    `check` is the check that names what is missing of it.
    """

    tables: tuple[str, ...] = Field(strict=False)
    fewest: int = Field(gt=0)
    later: int = Field(gt=0, default=10_000)
    check: str = ""


class OpenEnum(_Declared):
    """An enum to which operators may add labels, on record; a rollback leaves those."""

    name: str
    decision: str


class LaterWorkload(_Declared):
    """Scenarios of new tables: the load plays those of `folder` in these phases besides."""

    folder: str
    phases: tuple[str, ...] = Field(strict=False)


class Application(_Declared):
    """One application. All but the name may be left out.

    `probed` are tables that a probe reads in every phase; `surveyed` those whose statistics phase 0
    records (default: all); `audit_trail` is filled by the application's own triggers whenever rows
    of its tables are written; `tenant_column` says in each table that has it whose a row is, so
    that a loss can be pinned to somebody; `moved_aside` are functions of the application that a
    migration renames by itself before it makes one of that name (`001 name`).
    """

    name: str
    probed: tuple[str, ...] = Field(strict=False, default=())
    surveyed: tuple[str, ...] = Field(strict=False, default=())
    audit_trail: str = ""
    tenant_column: str = ""
    moved_aside: tuple[str, ...] = Field(strict=False, default=())
    tenants: Tenants | None = None
    recognition: Recognition | None = None
    open_enum: OpenEnum | None = None
    later_workload: LaterWorkload | None = None


def load() -> Application:
    """What the file says; an application without one has the name of its folder.

    Raises `ParameterError` for a wrong one.
    """
    path = settings.sql() / FILE
    try:
        return _parsed(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        return Application(name=settings.home().resolve().name)
    except ValidationError as error:
        first = error.errors()[0]
        raise ParameterError(
            f"sql/{FILE}: {'.'.join(map(str, first['loc']))}", found=repr(first.get("input")),
            expected=first["msg"].lower(), action="correct the file",
        ) from None  # fmt: skip
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(
            f"sql/{FILE} cannot be read", found=str(error), action="correct the file"
        ) from None


@lru_cache(maxsize=8)
def _parsed(text: str, path: Path) -> Application:
    return Application(**tomllib.loads(text))
