"""A notebook's parameters: checked strictly, since papermill only warns about unknown ones and runs
on.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mantis_runbook.errors import ParameterError

__all__ = ["AdvancedParameters", "MissionParameters", "Parameters", "RollbackParameters", "read"]

#: How papermill's injected cell begins.
INJECTED = "# Parameters"


Kind = TypeVar("Kind", bound=BaseModel)


class Parameters(BaseModel):
    """What every phase's notebook takes; each is plain text, and empty means the default."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    target: str = ""
    environment: str = ""
    run: str = ""
    operator: str = ""
    approve: str = ""
    scratch: str = ""
    currency_map: str = ""
    currency_add: str = ""


class AdvancedParameters(Parameters):
    """What phase 4's notebook takes besides."""

    repack: Literal["no", "yes"] = "no"


class RollbackParameters(Parameters):
    """What the rollback's notebook takes besides."""

    version: str = ""
    scope: str = "only"
    confirm: str = ""


class MissionParameters(BaseModel):
    """What mission control takes: it only reads."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    target: str = ""
    environment: str = ""


def read(namespace: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """The parameters in a notebook's namespace (`globals()`).

    Raises `ParameterError` for one that papermill injected and the notebook does not know, of a
    wrong type (`-p x 007` becomes the number 7, `-r x 007` stays text), or of a value that means
    nothing.
    """
    known = kind.model_fields
    for name in _injected(namespace):
        if name not in known:
            raise ParameterError(
                f"notebook parameter {name!r} is unknown",
                expected="one of " + ", ".join(known),
                action="correct its name",
            )
    try:
        return kind(**{name: namespace[name] for name in known if name in namespace})
    except ValidationError as error:
        first = error.errors()[0]
        raise ParameterError(
            f"notebook parameter {first['loc'][0]!r}",
            found=f"{first['input']!r} ({type(first['input']).__name__})",
            expected=first["ctx"]["expected"] if first["type"] == "literal_error" else "text (str)",
            action="with papermill, pass it with -r, which keeps text",
        ) from None


def _injected(namespace: Mapping[str, Any]) -> list[str]:
    """Names that papermill's cell assigned, from the session's own input history."""
    names: list[str] = []
    for cell in namespace.get("In", []):
        if cell.startswith(INJECTED):
            for node in ast.parse(cell).body:
                names += [
                    child.id
                    for child in ast.walk(node)
                    if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)
                ]
    return names
