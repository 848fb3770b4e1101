"""How results look as HTML, in JupyterLab and in the archive alike: inline styles, all text escaped."""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from html import escape as escape_text
from typing import Any

__all__ = ["COLOURS", "Html", "badge", "callout", "details", "duration", "escape", "facts", "many", "table"]

#: A word's family: mark, background, text. Hues of Okabe and Ito, darkened until the text on them has a contrast of 5:1
#: or more; the mark says the same again to who cannot see the colour.
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

SANS = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
#: Text that is a measure, such as 1,204 ms or 3.5 %: it stands right like a number.
MEASURE = re.compile(r"-?(0|[1-9][\d,]*)?(\.\d+)?( ?(%|ms|s|min|h|B|kB|MB|GB|TB|rows))?(?<=[\w%])")

#: An instant as evidence keeps it.
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)(?:\+00:00|Z)")

RULE = "rgba(128,128,128,.35)"
ROW = f"border-bottom:1px solid {RULE};background:transparent"
CELL = "padding:.3em 1em .3em 0;vertical-align:top;"


class Html(str):
    """Text that is HTML already and is put in as it is; any other text is escaped."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


def escape(value: Any) -> Html:
    """The value as HTML: `Html` stays, all else is escaped."""
    return value if isinstance(value, Html) else Html(escape_text(str(value)))


def badge(word: str) -> Html:
    """A verdict word (pass, warned, failed, refused, rolled back …) with mark and colour; an unknown one is grey."""
    mark, background, colour = COLOURS[FAMILY.get(word.strip().lower(), "none")]
    style = (
        f"display:inline-block;padding:.05em .55em .1em;border-radius:.3em;background:{background};color:{colour};"
        "font-weight:600;font-size:.92em;white-space:nowrap;print-color-adjust:exact;-webkit-print-color-adjust:exact"
    )
    return Html(f'<span style="{style}"><span aria-hidden="true">{mark}</span> {escape(word)}</span>')


def callout(kind: str, text_html: str) -> Html:
    """A passage that stands out: `kind` is any verdict word, or info. Wrap markup in `Html`; plain text is escaped."""
    mark, background, colour = COLOURS[FAMILY.get(kind.strip().lower(), "none")]
    box = f"{SANS};border-left:.35em solid {background};padding:.5em .9em;margin:.6em 0;background:rgba(128,128,128,.1)"
    disc = (
        f"display:inline-block;min-width:1.3em;text-align:center;border-radius:.3em;margin-right:.5em;font-weight:700;"
        f"background:{background};color:{colour};print-color-adjust:exact;-webkit-print-color-adjust:exact"
    )
    return Html(
        f'<div role="note" style="{box}"><span aria-hidden="true" style="{disc}">{mark}</span>{escape(text_html)}</div>'
    )


def details(summary: str, content: str) -> Html:
    """Something folded away behind a line of text."""
    return Html(
        f'<details style="{SANS};margin:.5em 0"><summary style="cursor:pointer">{escape(summary)}</summary>'
        f"{escape(content)}</details>"
    )


def facts(pairs: Mapping[str, Any], *, caption: str = "") -> Html:
    """Names and values, one pair a row."""
    body = "".join(
        f'<tr style="{ROW}"><th scope="row" style="{CELL}text-align:left;font-weight:600;white-space:nowrap">'
        f"{escape(_heading(name))}</th>"
        f'<td style="{CELL}text-align:left;white-space:pre-wrap">{_shown(value)}</td></tr>'
        for name, value in pairs.items()
    )
    return _frame(f"<tbody>{body}</tbody>", caption)


def table(
    rows: Any,
    *,
    verdict_column: str | None = None,
    link_column: str | None = None,
    caption: str = "",
    empty: str = "no rows",
) -> Html:
    """Rows as a table: a pandas frame, or a sequence of mappings or dataclasses.

    Numbers stand right with aligned digits, the verdict column shows badges, the link column leads where its values say,
    None and NaN show as –. Instants of one day (ISO 8601, UTC) show the time alone, below the day in the heading. A value
    that is `Html` is put in as it is.
    """
    columns, records = _records(rows)
    if not records:
        return _frame(f'<tbody><tr><td style="{CELL}opacity:.75">{escape(empty)}</td></tr></tbody>', caption)
    columns, records = _with_times(columns, records)
    right = [_is_numeric([record[index] for record in records]) for index in range(len(columns))]
    head = "".join(_head(column, right[index]) for index, column in enumerate(columns))
    body = "".join(
        f'<tr style="{ROW}">' + "".join(
            _cell(
                _linked(value) if columns[index] == link_column else value,
                align_right=right[index],
                verdict=columns[index] == verdict_column,
            )
            for index, value in enumerate(record)
        ) + "</tr>"
        for record in records
    )  # fmt: skip
    return _frame(f'<thead><tr style="{ROW};border-bottom-width:2px">{head}</tr></thead><tbody>{body}</tbody>', caption)


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


def _frame(inner: str, caption: str) -> Html:
    style = f"border-collapse:collapse;{SANS};font-size:.93em;font-variant-numeric:tabular-nums;margin:.5em 0"
    above = (
        f'<caption style="caption-side:top;text-align:left;font-weight:600;padding:.2em 0;color:inherit">'
        f"{escape(caption)}</caption>"
    )
    return Html(f'<div style="overflow-x:auto"><table style="{style}">{above if caption else ""}{inner}</table></div>')


def _head(column: str, align_right: Any) -> str:
    align = "right" if align_right else "left"
    style = f"{CELL}text-align:{align};vertical-align:bottom;font-weight:600"
    return f'<th scope="col" style="{style}">{escape(_heading(column))}</th>'


def _cell(value: Any, *, align_right: bool, verdict: bool) -> str:
    shown = badge(str(value)) if verdict and not _is_missing(value) else _shown(value)
    align = "right;white-space:nowrap" if align_right else "left;white-space:pre-wrap"
    return f'<td style="{CELL}text-align:{align}">{shown}</td>'


def _linked(target: Any) -> Any:
    """A link to a notebook or page, under the target's own name."""
    if not target:
        return target
    text = re.sub(r"\.(ipynb|html)(#.*)?$", "", str(target).removeprefix("../"))
    return Html(f'<a href="{escape(target)}">{escape(text)}</a>')


def _heading(name: Any) -> str:
    return str(name).replace("_", " ")


def _records(rows: Any) -> tuple[list[str], list[Sequence[Any]]]:
    if hasattr(rows, "columns") and hasattr(rows, "itertuples"):
        return [str(column) for column in rows.columns], list(rows.itertuples(index=False, name=None))
    mappings = [_mapping(row) for row in rows]
    columns = list(dict.fromkeys(name for mapping in mappings for name in mapping))
    return [str(column) for column in columns], [[mapping.get(name) for name in columns] for mapping in mappings]


def _with_times(columns: list[str], records: list[Sequence[Any]]) -> tuple[list[str], list[Sequence[Any]]]:
    """Columns of instants, each on one line: the day stands in the heading where it is the same in all rows."""
    told = [_times(name, values) for name, values in zip(columns, zip(*records, strict=True), strict=True)]
    return [name for name, _ in told], list(zip(*(values for _, values in told), strict=True))


def _times(name: str, values: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    known = [value for value in values if not _is_missing(value)]
    found = [INSTANT.fullmatch(value) for value in known if isinstance(value, str)]
    if not found or len(found) != len(known) or None in found:
        return name, values
    days = sorted({match[1] for match in found if match})
    form = r"\2" if len(days) == 1 else r"\1 \2"
    shown = [value if _is_missing(value) else _nowrap(INSTANT.sub(form, value)) for value in values]
    return f"{name} (UTC, {days[0]})" if len(days) == 1 else f"{name} (UTC)", shown


def _nowrap(text: str) -> Html:
    return Html(f'<span style="white-space:nowrap">{escape(text)}</span>')


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
    return isinstance(value, numbers.Number) and not isinstance(value, bool) and type(value).__name__ != "bool"


def _shown(value: Any) -> str:
    if isinstance(value, Html):
        return value
    if type(value).__name__ in ("NaTType", "NAType") or value is None:
        return "–"
    if _is_number(value):
        return escape(_number(value))
    return escape(_text(value))


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
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, Mapping) else str(value)
