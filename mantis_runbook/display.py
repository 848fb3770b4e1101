"""How results look as HTML, in JupyterLab and in the archive alike; all text is escaped."""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from html import escape as escape_text
from typing import Any

from mantis_runbook.markup import Html, templates

__all__ = [
    "COLOURS",
    "Html",
    "badge",
    "callout",
    "details",
    "duration",
    "escape",
    "facts",
    "many",
    "paragraph",
    "table",
]

#: A word's family: mark, background, text. Hues of Okabe and Ito, darkened until the text on them
#: has a contrast of 5:1 or more; the mark says the same again to who cannot see the colour.
COLOURS: dict[str, tuple[str, str, str]] = {
    "pass": ("✓", "#00694d", "#ffffff"),
    "warn": ("!", "#e69f00", "#000000"),
    "fail": ("✕", "#a83c00", "#ffffff"),
    "refused": ("⊘", "#87396a", "#ffffff"),
    "inconclusive": ("?", "#0062a0", "#ffffff"),
    "rolled back": ("↺", "#56b4e9", "#000000"),
    "info": ("i", "#0062a0", "#ffffff"),
    "none": ("○", "#5c5c5c", "#ffffff"),
}

FAMILIES = {
    "pass": ("pass", "passed", "done", "proven", "valid", "ok", "completed"),
    "warn": ("warn", "warned", "warning"),
    "fail": ("fail", "failed", "error", "invalid", "tripped"),
    "refused": ("refused",),
    "inconclusive": ("inconclusive", "interrupted", "running"),
    "info": ("info",),
    "rolled back": ("rolled back", "rolled_back"),
}
FAMILY = {word: family for family, words in FAMILIES.items() for word in words}

#: Text that is a measure, such as 1,204 ms or 3.5 %: it stands right like a number.
MEASURE = re.compile(r"-?(0|[1-9][\d,]*)?(\.\d+)?( ?(%|ms|s|min|h|B|kB|MB|GB|TB|rows))?(?<=[\w%])")

#: An instant as evidence keeps it.
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)(?:\+00:00|Z)")


def escape(value: Any) -> Html:
    """The value as HTML: what is HTML already stays, all else is escaped."""
    return Html(value.__html__()) if hasattr(value, "__html__") else Html(escape_text(str(value)))


def badge(word: str) -> Html:
    """A verdict word (pass, failed, refused, …) with mark and colour; an unknown one is grey."""
    return _drawn("badge", escape(word), *_colours(word))


def callout(kind: str, content: str) -> Html:
    """A passage that stands out: `kind` is any verdict word, or info.

    Wrap markup in `Html`; plain text is escaped.
    """
    return _drawn("callout", escape(content), *_colours(kind))


def details(summary: str, content: str) -> Html:
    """Something folded away behind a line of text."""
    return _drawn("details", escape(summary), escape(content))


def paragraph(*content: str) -> Html:
    """Words, badges and links in one paragraph, separated by spaces."""
    return _drawn("paragraph", Html(" ".join(map(escape, content))))


def facts(pairs: Mapping[str, Any], *, caption: str = "") -> Html:
    """Names and values, one pair a row."""
    return _drawn(
        "facts", [(_heading(name), _shown(value)) for name, value in pairs.items()], escape(caption)
    )


def table(
    rows: Any,
    *,
    verdict_column: str | None = None,
    link_column: str | None = None,
    caption: str = "",
    empty: str = "no rows",
) -> Html:
    """Rows as a table: a pandas frame, or a sequence of mappings or dataclasses.

    Numbers stand right with aligned digits, the verdict column shows badges, the link column leads
    where its values say, None and NaN show as –. Instants of one day (ISO 8601, UTC) show the time
    alone, below the day in the heading. A value that is `Html` is put in as it is.
    """
    columns, records = _records(rows)
    if not records:
        return _drawn("empty", escape(empty), escape(caption))
    columns, records = _with_times(columns, records)
    right = [_is_numeric(values) for values in zip(*records, strict=True)]
    cells = [
        [
            (
                _cell(value, verdict=column == verdict_column, link=column == link_column),
                stands_right,
            )
            for column, value, stands_right in zip(columns, record, right, strict=True)
        ]
        for record in records
    ]
    return _drawn(
        "table", list(zip(map(_heading, columns), right, strict=True)), cells, escape(caption)
    )


def duration(milliseconds: float | None) -> str:
    """A duration for reading: 340 ms, 2.4 s, 3 min 20 s, 2 h 05 min."""
    if milliseconds is None or not math.isfinite(milliseconds):
        return "–"
    if milliseconds < 1:
        return f"{milliseconds:.2f} ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def many(number: int, one: str, more: str = "") -> str:
    """A number with its noun: 1 lock wait, 1,204 lock waits."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def _drawn(part: str, *values: Any) -> Html:
    """A part of the template `display.html.j2`."""
    return Html(getattr(_parts(), part)(*values))


@cache
def _parts() -> Any:
    return templates().get_template("display.html.j2").module


def _colours(word: str) -> tuple[str, str, str]:
    return COLOURS[FAMILY.get(word.strip().lower(), "none")]


def _cell(value: Any, *, verdict: bool, link: bool) -> Html:
    if verdict and not _is_missing(value):
        return badge(str(value))
    return _link(str(value)) if link and value else _shown(value)


def _link(target: str) -> Html:
    """A link to a notebook or page, under the target's own name."""
    text = re.sub(r"\.(ipynb|html)(#.*)?$", "", target.removeprefix("../"))
    return _drawn("link", escape(text), escape(target))


def _heading(name: Any) -> Html:
    return escape(str(name).replace("_", " "))


def _records(rows: Any) -> tuple[list[str], list[Sequence[Any]]]:
    if hasattr(rows, "columns") and hasattr(rows, "itertuples"):
        return [str(column) for column in rows.columns], list(
            rows.itertuples(index=False, name=None)
        )
    mappings = [_mapping(row) for row in rows]
    columns = list(dict.fromkeys(name for mapping in mappings for name in mapping))
    return [str(column) for column in columns], [
        [mapping.get(name) for name in columns] for mapping in mappings
    ]


def _with_times(
    columns: list[str], records: list[Sequence[Any]]
) -> tuple[list[str], list[Sequence[Any]]]:
    """Columns of instants, each on one line: the day stands in the heading where it is the same in
    all rows.
    """
    renamed = [
        _times(name, values)
        for name, values in zip(columns, zip(*records, strict=True), strict=True)
    ]
    return [name for name, _ in renamed], list(zip(*(values for _, values in renamed), strict=True))


def _times(name: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    known = [value for value in values if not _is_missing(value)]
    matches = [INSTANT.fullmatch(value) for value in known if isinstance(value, str)]
    if not matches or len(matches) != len(known) or None in matches:
        return name, values
    days = sorted({match[1] for match in matches if match})
    form = r"\2" if len(days) == 1 else r"\1 \2"
    shown = [value if _is_missing(value) else _nowrap(INSTANT.sub(form, value)) for value in values]
    return f"{name} (UTC, {days[0]})" if len(days) == 1 else f"{name} (UTC)", shown


def _nowrap(text: str) -> Html:
    return _drawn("unbroken", escape(text))


def _mapping(row: Any) -> Mapping[str, Any]:
    if isinstance(row, Mapping):
        return row
    if is_dataclass(row):
        return {item.name: getattr(row, item.name) for item in fields(row)}
    raise TypeError(f"a table is made of mappings or dataclasses, not of {type(row).__name__}")


def _is_missing(value: Any) -> bool:
    return value is None or value != value or type(value).__name__ in ("NaTType", "NAType")


def _is_numeric(values: Iterable[Any]) -> bool:
    known = [value for value in values if not _is_missing(value)]
    return any(value != "" for value in known) and all(_stands_right(value) for value in known)


def _stands_right(value: Any) -> bool:
    if isinstance(value, str):
        return not value or MEASURE.fullmatch(value) is not None
    return _is_number(value) or isinstance(value, timedelta)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, numbers.Number)
        and not isinstance(value, bool)
        and type(value).__name__ != "bool"
    )


def _shown(value: Any) -> Html:
    if isinstance(value, Html):
        return value
    if type(value).__name__ in ("NaTType", "NAType") or value is None:
        return escape("–")
    return escape(_number(value) if _is_number(value) else _text(value))


def _number(value: Any) -> str:
    """Thousands are set apart; binary fractions are shown to four significant digits."""
    if value != value:
        return "–"
    if isinstance(value, float) and not float(value).is_integer():
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"
    if isinstance(value, float):
        value = int(value)
    return f"{value:,}"


def _text(value: Any) -> str:
    if type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        instant = value.astimezone(UTC) if value.tzinfo else value
        return instant.strftime("%Y-%m-%d %H:%M:%S") + (" UTC" if value.tzinfo else "")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return duration(value.total_seconds() * 1000)
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(str(item) for item in value)
    return (
        json.dumps(value, ensure_ascii=False, default=str)
        if isinstance(value, Mapping)
        else str(value)
    )
