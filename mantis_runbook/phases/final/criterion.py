"""One success criterion, and what each of them reads: evidence by phase and verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["MIGRATING", "Criterion", "Kept", "link_to", "runs_of"]

Kept = Mapping[tuple[str, str], Mapping[str, Any]]

#: Phases that migrate, and so are rehearsed.
MIGRATING = ("1", "2", "3", "4")


@dataclass(frozen=True)
class Criterion:
    """One success criterion and how far it is met.

    `verdict`: pass, fail, inconclusive, not asked, or to sign (then `evidence` says by whom). `run`
    names the runs that the evidence comes from, `link` leads to it.
    """

    kind: str
    criterion: str
    evidence: str
    figure: str
    verdict: str
    run: str = ""
    link: str = ""

    @property
    def record(self) -> dict[str, Any]:
        return asdict(self)


def runs_of(results: Sequence[Mapping[str, Any] | None]) -> str:
    """The names of the runs that pieces of evidence come from."""
    return ", ".join(
        sorted({str(result["run"]) for result in results if result and result.get("run")})
    )


def link_to(evidence: Mapping[str, Any] | None) -> str:
    """The page that shows a piece of evidence; empty where there is none."""
    return str(evidence.get("page", "")) if evidence else ""
