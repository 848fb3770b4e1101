"""Results as archives and backups hold them: plain data that become dataclasses again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mantis_runbook.errors import Inconclusive

__all__ = ["loaded"]

Kind = TypeVar("Kind")


def loaded(kind: type[Kind], data: Mapping[str, Any]) -> Kind:
    """The dataclass kept as `data`, with the tuples, paths and dataclasses inside it.

    What a later version kept besides is left out. Raises `Inconclusive` for data that are not those
    of a `kind`.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "its value"
        raise Inconclusive(
            f"what an earlier step kept as {kind.__name__}",
            found=f"{where}: {first['msg'].lower()}",
            expected="what this version of the runbook wrote",
            action="check the archive with `mantis-runbook verify`",
        ) from None
