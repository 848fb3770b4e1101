"""What a verb found: shown in the notebook, kept in the archive, read by the next verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mantis_runbook import display
from mantis_runbook.runs.stored import loaded

__all__ = ["Evidence", "Table"]


@dataclass(frozen=True)
class Table:
    """Records under a caption; `verdict_column` names the column that holds verdict words,
    `link_column` the one that holds links to notebooks or pages; a `folded` one is shown behind its
    caption, since nobody needs to read it unless something else is red. The `note` below it says
    how to read it. A column of texts that are all empty is not shown.
    """

    caption: str
    records: Sequence[Mapping[str, Any]]
    verdict_column: str | None = None
    folded: bool = False
    link_column: str | None = None
    note: str = ""

    def _repr_html_(self) -> str:
        caption = "" if self.folded else self.caption
        shown = display.table(
            self._filled(),
            verdict_column=self.verdict_column,
            link_column=self.link_column,
            caption=caption,
        )
        shown = display.Html(shown + display.paragraph(self.note)) if self.note else shown
        return display.details(self.caption, shown) if self.folded else shown

    def _filled(self) -> list[dict[str, Any]]:
        empty = {name for record in self.records for name in record} - {
            name
            for record in self.records
            for name, value in record.items()
            if not _is_blank(value)
        }
        return [
            {name: value for name, value in record.items() if name not in empty}
            for record in self.records
        ]


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and not value


@dataclass(frozen=True)
class Evidence:
    """The outcome of a verb: a verdict word, a sentence, tables, and facts for the next verb.

    `verdict` is passed, warned, failed, refused or inconclusive. It is shown from its own data
    alone, so that what the archive shows is what the notebook showed. `chart` names the function of
    `charts` that draws table `charted`.
    """

    phase: str
    verb: str
    verdict: str
    summary: str
    tables: tuple[Table, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    chart: str = ""
    charted: int = 0

    @property
    def good(self) -> bool:
        return self.verdict in ("passed", "warned")

    @property
    def frame(self) -> Any:
        """The first table as a pandas frame."""
        import pandas as pd

        return pd.DataFrame(list(self.tables[0].records) if self.tables else [])

    def plot(self) -> Any:
        """The picture of this evidence's table; a sentence where there is nothing to draw."""
        from mantis_runbook import charts

        if not self.chart:
            return display.callout("info", f"{self.verb} has no picture: {self.summary}")
        import pandas as pd

        frame = pd.DataFrame(list(self.tables[self.charted].records))
        if "at" in frame:
            frame["at"] = pd.to_datetime(frame["at"])
        return getattr(charts, self.chart)(frame)

    def _repr_html_(self) -> str:
        head = display.paragraph(display.badge(self.verdict), self.summary)
        body = "".join(table._repr_html_() for table in self.tables)
        tail = display.callout(self.verdict, self.advice) if self.advice else ""
        return f"{head}{body}{tail}"

    def __repr__(self) -> str:
        return f"{self.verb}: {self.verdict}: {self.summary}" + (
            f"\n{self.advice}" if self.advice else ""
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evidence:
        return loaded(cls, data)
