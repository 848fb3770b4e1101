"""The templates of our HTML: every value is escaped unless it is HTML already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["Html", "templates"]


class Html(str):
    """Text that is HTML already and is put in as it is; any other text is escaped."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return str(self)


def templates(**filters: Callable[..., Any]) -> Environment:
    """The files of `templates/`, with these filters.

    A name that a template asks for in vain raises.
    """
    environment = Environment(
        loader=PackageLoader("mantis_runbook"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(filters)
    return environment
