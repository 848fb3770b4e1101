"""Pictures of results: each has a title that states what it shows, and prints in grey as well as in colour."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from mantis_runbook.display import duration, many

__all__ = [
    "Picture", "bars_of_sizes", "durations", "gantt", "latency", "monitoring", "organisations", "save",
]  # fmt: skip

DPI = 110
WIDTH = 8.2  # inches: 902 pixels

#: Okabe and Ito's colours, told apart by every kind of colour vision; https://jfly.uni-koeln.de/color/
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
)  # fmt: skip
CYCLE = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK)
MARKERS = "osD^vPX"
HATCHES = ("", "///", "...", "\\\\\\", "xxx", "ooo", "+++")
INK, SOFT, RULE = "#1a1a1a", "#555555", "#d9d9d9"

#: More bars than this are hard to read; the smallest are summed up in one.
MOST_BARS = 25

#: A band needs this share of the width for its name, which stands upright in it.
NAMED_BAND = 0.03

#: A bar of the schedule is drawn at least this long: on an axis of weeks nobody would see one of minutes.
SHORTEST_BAR = pd.Timedelta(hours=8)


class Picture(Figure):
    """A figure that shows itself in a notebook without pyplot, with its title as the text for who cannot see it."""

    finding: str = ""

    def png(self) -> bytes:
        """The picture as a PNG file, the same bytes for the same data; its title is written into it."""
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            # A name in a script that the font lacks shows as boxes; the table beside the picture has it in full.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            FigureCanvasAgg(self).print_png(  # type: ignore[no-untyped-call]
                buffer, metadata={"Title": self.finding, "Software": None}
            )
        return buffer.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"image/png": self.png(), "text/plain": self.finding}, {"image/png": {"alt": self.finding}}


def save(picture: Picture, path: Path) -> Path:
    """Write a picture as PNG into a run's `charts/`; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture.png())
    return path


def bars_of_sizes(frame: pd.DataFrame) -> Picture:
    """Tables by size and by rows. Columns: `table`, `bytes`, `rows`."""
    if frame.empty:
        return _no_data("Tables by size")
    data = _largest(frame[["table", "bytes", "rows"]].sort_values(["bytes", "table"], ascending=[False, True]))
    total, first = frame["bytes"].sum(), data.iloc[0]
    share = f", {first['bytes'] / total:.0%} of all tables" if total else ""
    picture = _picture(
        f"{first['table']} is the largest table: {_bytes(first['bytes'])}{share}", _bars_height(len(data))
    )
    left, right = picture.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.06})
    places = np.arange(len(data))
    for axes, column, colour, label, unit in (
        (left, "bytes", BLUE, "size with indexes", _bytes), (right, "rows", SKY, "rows", _count),
    ):  # fmt: skip
        axes.barh(
            places, data[column], color=colour, edgecolor=INK, linewidth=0.4, hatch="" if column == "bytes" else "///"
        )
        _dress(axes, grid="x", xlabel=label)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _, unit=unit: unit(value)))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _label_bars(axes, places, data[column], unit)
    _names(left, places, data["table"])
    right.tick_params(axis="y", length=0)
    return picture


def monitoring(frame: pd.DataFrame) -> Picture:
    """The strategy's figures over time, one small picture each.

    Columns: `at` (instants), and any of `active_connections`, `waiting_queries`, `avg_query_ms`, `cache_hit_ratio`
    (per cent), `disk_usage_gb`; missing ones are left out.
    """
    panels = [panel for panel in PANELS if panel[0] in frame.columns and frame[panel[0]].notna().any()]
    if frame.empty or not panels:
        return _no_data("Monitoring")
    data = frame.sort_values("at")
    picture = _picture(_monitoring_title(data), 0.6 + 1.25 * len(panels))
    all_axes = np.atleast_1d(picture.subplots(len(panels), 1, sharex=True))
    for axes, (column, label, colour, marker) in zip(all_axes, panels, strict=True):
        values = data[column].astype(float)
        few = len(data) <= 120
        axes.plot(data["at"], values, color=colour, linewidth=1.3, marker=marker if few else "", markersize=3.5)
        _dress(axes, grid="y", ylabel=label)
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=column in ("active_connections", "waiting_queries")))
        _room(axes, values)
    _times(all_axes[-1], data["at"])
    return picture


PANELS = (
    ("active_connections", "active\nconnections", BLUE, "o"),
    ("waiting_queries", "waiting\nqueries", VERMILLION, "s"),
    ("avg_query_ms", "average query\ntime (ms)", PURPLE, "D"),
    ("cache_hit_ratio", "cache hit\nratio (%)", GREEN, "^"),
    ("disk_usage_gb", "size on\ndisk (GB)", BLACK, "v"),
)


def durations(frame: pd.DataFrame) -> Picture:
    """Steps as predicted by the rehearsal against what they took. Columns: `step`, `predicted_ms`, `actual_ms`."""
    if frame.empty:
        return _no_data("Duration of steps")
    data = frame.reset_index(drop=True)
    picture = _picture(_durations_title(data), _bars_height(2 * len(data)))
    axes, places = picture.subplots(), np.arange(len(data))
    for offset, column, colour, hatch, label in (
        (-0.2, "predicted_ms", SKY, "///", "predicted by the rehearsal"), (0.2, "actual_ms", BLUE, "", "actual"),
    ):  # fmt: skip
        values = data[column].astype(float)
        axes.barh(places + offset, values, 0.38, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.4, label=label)
        _label_bars(axes, places + offset, values, duration)
    _names(axes, places, data["step"])
    _dress(axes, grid="x", xlabel="duration")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value) if value else "0"))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    _legend(picture, axes)
    return picture


def latency(
    frame: pd.DataFrame, steps: pd.DataFrame | None = None, span: tuple[datetime, datetime] | None = None
) -> Picture:
    """The probe's latency over time, the steps as bands behind it, and the longest gap between two successes.

    Columns of `frame`: `at` (the scheduled instant), `latency_ms`; and where there are any, `lane` (read, write) and
    `ok` (False for an error). Columns of `steps`: `step`, `started`, `finished`. The gap is the longest that touches
    `span`, by default from the first step to the last; without steps, the longest of all.
    """
    if frame.empty:
        return _no_data("Latency while the steps ran")
    data = _with_lanes(frame)
    span = span or _span_of(steps)
    gap = _longest_gap(data, span)
    picture = _picture(_latency_title(data, gap, "while the steps ran" if span else "between successes"), 4.6)
    axes = picture.subplots()
    _bands(axes, steps, data["at"])
    answered = data[data["ok"]]
    for number, (kind, dots) in enumerate(answered.groupby(answered["lane"].map(_kind), sort=True)):
        lanes = dots["lane"].nunique()
        axes.scatter(
            dots["at"], dots["latency_ms"].clip(lower=0.05), s=9, color=CYCLE[number % len(CYCLE)],
            marker=MARKERS[number % len(MARKERS)], linewidths=0, alpha=0.7, zorder=3,
            label=f"{kind}, {lanes} lanes" if lanes > 1 else f"{kind}",
        )  # fmt: skip
    errors = data[~data["ok"]]
    if len(errors):
        heights = errors["latency_ms"].fillna(1).clip(lower=0.05)
        axes.scatter(errors["at"], heights, s=34, color=VERMILLION, marker="x", label="error", zorder=4)
    _dress(axes, grid="y", ylabel="latency (log)")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    _mark_gap(axes, gap)
    _times(axes, data["at"])
    if steps is not None and len(steps):
        axes.set_xlabel(f"{axes.get_xlabel()}; shaded: the steps, named where there is room", fontsize=9, color=SOFT)
    _legend(picture, axes)
    return picture


def organisations(frame: pd.DataFrame) -> Picture:
    """Rows per organisation, logarithmic, largest first. Columns: `organisation`, `rows`."""
    if frame.empty:
        return _no_data("Rows per organisation")
    data = frame.groupby("organisation", sort=True)["rows"].sum().reset_index()
    data = data.sort_values(["rows", "organisation"], ascending=[False, True])
    total, first, last = data["rows"].sum(), data.iloc[0], data.iloc[-1]
    share = f"{first['rows'] / total:.0%} of the rows that belong to one" if total else "no rows"
    title = f"{many(len(data), 'organisation')}: {first['organisation']} holds {share}"
    title += f", {last['organisation']} {_count(last['rows'])}" if len(data) > 1 else ""
    data = data.head(MOST_BARS)
    picture = _picture(title, _bars_height(len(data)))
    axes, places = picture.subplots(), np.arange(len(data))
    axes.barh(places, data["rows"].clip(lower=0.8), color=BLUE, edgecolor=INK, linewidth=0.4)
    axes.set_xscale("log")
    axes.set_xlim(0.7, max(10, float(first["rows"])) * 4)
    _names(axes, places, data["organisation"])
    _dress(axes, grid="x", xlabel="rows (logarithmic)")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
    for place, rows in zip(places, data["rows"], strict=True):
        axes.annotate(_count(rows), (max(rows, 0.8), place), xytext=(4, 0), textcoords="offset points", va="center",
                      fontsize=8, color=INK)  # fmt: skip
    return picture


def gantt(frame: pd.DataFrame) -> Picture:
    """The plan's weeks against what happened.

    Columns: `phase`, `planned_start`, `planned_end`, `actual_start`, `actual_end`. A phase that has not begun has no
    actual instants; one that has begun and not ended has no `actual_end`, and is drawn to where `going_on_at` says
    that it was seen going on.
    """
    if frame.empty:
        return _no_data("Schedule")
    data = frame.reindex(columns=[*INSTANTS, "phase"]).reset_index(drop=True)
    for column in INSTANTS:
        data[column] = pd.to_datetime(data[column], utc=True).dt.tz_localize(None)
    going = _going_on(data)
    data["until"] = data["actual_end"].fillna(data["going_on_at"]).fillna(data["actual_start"])
    picture = _picture(_gantt_title(data), _bars_height(2 * len(data)) + 0.3)
    axes = picture.subplots()
    for place, row in enumerate(data.to_dict("records")):
        _bar(axes, place - 0.2, row["planned_start"], row["planned_end"], "planned", SKY, "///")
        label, colour = ("going on", ORANGE) if going[place] else ("actual", BLUE)
        _bar(axes, place + 0.2, row["actual_start"], row["until"], label, colour, "")
    _names(axes, np.arange(len(data)), data["phase"])
    _dress(axes, grid="x", xlabel=_gantt_note(data))
    axes.margins(x=0.02)
    _mondays(axes, data)
    _legend(picture, axes)
    return picture


INSTANTS = ("planned_start", "planned_end", "actual_start", "actual_end", "going_on_at")


# Titles: what the data says


def _monitoring_title(data: pd.DataFrame) -> str:
    span = duration((data["at"].max() - data["at"].min()).total_seconds() * 1000)
    parts = []
    if "waiting_queries" in data.columns:
        waiting = data["waiting_queries"].astype(float).max()
        parts.append(f"at most {many(int(waiting), 'query', 'queries')} waited" if waiting else "no query waited")
    if "cache_hit_ratio" in data.columns and data["cache_hit_ratio"].notna().any():
        parts.append(f"cache hit ratio not below {_floor(data['cache_hit_ratio'].astype(float).min())} %")
    return f"In {span} of monitoring {', '.join(parts)}" if parts else f"Monitoring over {span}"


def _durations_title(data: pd.DataFrame) -> str:
    known = data.dropna(subset=["predicted_ms", "actual_ms"])
    if known.empty:
        ran = data["actual_ms"].notna().sum()
        return f"{many(int(ran), 'step')} ran, none was predicted" if ran else "No step has run yet"
    total = f"{duration(known['actual_ms'].sum())}, predicted {duration(known['predicted_ms'].sum())}"
    ratio = known["actual_ms"].astype(float) / known["predicted_ms"].astype(float).clip(lower=0.01)
    worst = known.iloc[int(ratio.argmax())]
    if ratio.max() <= 1:
        return f"All steps within their prediction: {total}"
    return f"Steps took {total}; “{worst['step']}” ran furthest over its prediction, {ratio.max():.1f} times as long"


def _latency_title(data: pd.DataFrame, gap: tuple[Any, Any, float] | None, where: str) -> str:
    good = data.loc[data["ok"], "latency_ms"]
    bad = int((~data["ok"]).sum())
    errors = many(bad, "error") if bad else "no error"
    if good.empty:
        return f"Nothing was answered: {errors} in {many(len(data), 'probe')}"
    longest = f"longest gap {where} {duration(gap[2])}; in all " if gap else ""
    p99 = float(np.percentile(good.astype(float), 99))
    return f"{longest}p99 {duration(p99)}, {errors} in {len(data):,} probes".removeprefix(" ").capitalize()


def _gantt_title(data: pd.DataFrame) -> str:
    """Of phases that are still going on is said that they are: one of them has this picture drawn, and cannot be over."""
    going = _going_on(data)
    named = ", ".join(map(str, data.loc[going, "phase"]))
    tail = f"; “{named}” was going on when this was drawn" if going.any() else ""
    rest = data[~going]
    done = rest["actual_end"].notna()
    finished = f"{int(done.sum())} of {many(len(rest), 'other phase' if going.any() else 'phase')} finished"
    late = done & (rest["actual_end"] > rest["planned_end"])
    names = ", ".join(map(str, rest.loc[late, "phase"]))
    judged = f", late: {names}" if late.any() else ", all in time" if done.any() else ""
    return f"{finished}{judged}{tail}"


def _gantt_note(data: pd.DataFrame) -> str:
    begun = data["actual_start"].notna()
    short = begun & (data["until"] - data["actual_start"] < SHORTEST_BAR)
    begins = data["planned_start"].min()
    return "\n".join(
        (
            "date" if pd.isna(begins) else f"Mondays; the plan's weeks count from {begins:%Y-%m-%d}, the week of the first phase",
            *([f"bars of less than {SHORTEST_BAR.total_seconds() / 3600:.0f} hours are drawn as long as that"] if short.any() else []),
        )
    )  # fmt: skip


def _going_on(data: pd.DataFrame) -> pd.Series[bool]:
    return data["actual_start"].notna() & data["actual_end"].isna()


def _floor(per_cent: float) -> str:
    """Rounded down: of what is "not below", the nearest figure may be above."""
    return f"{math.floor(round(per_cent * 100, 6)) / 100:.2f}"


# Parts


def _picture(title: str, height: float) -> Picture:
    engine = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.07)
    picture = Picture(figsize=(WIDTH, height), dpi=DPI, layout=engine, facecolor="white")
    FigureCanvasAgg(picture)
    picture.finding = title
    wrapped = textwrap.fill(_plain(title), 88)
    picture.suptitle(wrapped, x=0.012, ha="left", fontsize=11.5, fontweight="bold", color=INK)
    return picture


def _plain(text: Any) -> str:
    """Text as it is: a dollar sign from the database must not start a formula, nor a control character be drawn."""
    shown = "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in str(text))
    return shown.replace("$", r"\$")


def _no_data(subject: str) -> Picture:
    picture = _picture(f"{subject}: no data", 1.6)
    axes = picture.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no data", ha="center", va="center", fontsize=13, color=SOFT)
    return picture


def _bars_height(bars: int) -> float:
    return 1.25 + 0.235 * max(bars, 3)


def _dress(axes: Axes, *, grid: str, xlabel: str = "", ylabel: str = "") -> None:
    for side in ("top", "right", "left" if grid == "x" else "top"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(labelsize=8.5, color=SOFT, labelcolor=INK)
    axes.grid(axis=grid, color=RULE, linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, fontsize=9, color=SOFT)
    axes.set_ylabel(ylabel, fontsize=9, color=SOFT)


def _names(axes: Axes, places: np.ndarray[Any, Any], names: Iterable[Any]) -> None:
    axes.set_yticks(places, [_plain(textwrap.shorten(str(name), 40, placeholder=" …")) for name in names])
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _label_bars(
    axes: Axes, places: np.ndarray[Any, Any], values: Sequence[Any] | pd.Series[Any], unit: Callable[[float], str]
) -> None:
    """Each bar's value at its end, with room for it on the right."""
    top = max((float(value) for value in values if pd.notna(value)), default=0.0)
    axes.set_xlim(0, max(axes.get_xlim()[1], (top or 1) * 1.22))
    for place, value in zip(places, values, strict=True):
        if pd.notna(value):
            axes.annotate(unit(float(value)), (float(value), place), xytext=(3, 0), textcoords="offset points",
                          va="center", fontsize=8, color=INK)  # fmt: skip


def _legend(picture: Picture, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    single = dict(zip(labels, handles, strict=True))
    if single:
        picture.legend(single.values(), single.keys(), loc="outside lower left", ncols=4, frameon=False, fontsize=8.5,
                       markerscale=2)  # fmt: skip


def _times(axes: Axes, instants: pd.Series[Any]) -> None:
    if instants.min() == instants.max():
        axes.set_xlim(instants.min() - pd.Timedelta(seconds=1), instants.max() + pd.Timedelta(seconds=1))
    locator = mdates.AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    locator.intervald[mdates.SECONDLY] = [1, 2, 5, 10, 15, 30]  # its own go from 1 to 5: two ticks in 9 s
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(FuncFormatter(_clock(instants.max() - instants.min())))
    axes.set_xlabel(f"time (UTC), {instants.min():%Y-%m-%d}", fontsize=9, color=SOFT)


def _clock(span: pd.Timedelta) -> Callable[[float, int], str]:
    """How instants of such a span are written, as few letters as tell them apart."""
    form = "%H:%M:%S" if span < pd.Timedelta(hours=2) else "%H:%M" if span < pd.Timedelta(days=1) else "%m-%d %H:%M"
    tenths = span < pd.Timedelta(seconds=6)

    def written(value: float, _: int) -> str:
        at = mdates.num2date(value)  # type: ignore[no-untyped-call]
        return f"{at:{form}}" + (f".{at.microsecond // 100_000}" if tenths else "")

    return written


def _mondays(axes: Axes, data: pd.DataFrame) -> None:
    weeks = (data[list(INSTANTS)].max().max() - data[list(INSTANTS)].min().min()).days // 7
    every = max(1, -(-weeks // 9))
    axes.xaxis.set_major_locator(mdates.WeekdayLocator(byweekday=mdates.MO, interval=every))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%d %b"))  # type: ignore[no-untyped-call]


def _room(axes: Axes, values: pd.Series[Any]) -> None:
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * 0.15 or max(abs(high) * 0.05, 0.5)
    axes.set_ylim(max(0, low - margin) if low >= 0 else low - margin, high + margin)


def _largest(data: pd.DataFrame) -> pd.DataFrame:
    if len(data) <= MOST_BARS:
        return data
    rest = data.iloc[MOST_BARS - 1 :]
    others = pd.DataFrame(
        {"table": [f"{len(rest)} others"], "bytes": [rest["bytes"].sum()], "rows": [rest["rows"].sum()]}
    )
    return pd.concat([data.iloc[: MOST_BARS - 1], others], ignore_index=True)


def _with_lanes(frame: pd.DataFrame) -> pd.DataFrame:
    data = frame.sort_values("at").copy()
    data["lane"] = data["lane"] if "lane" in data.columns else "probe"
    data["ok"] = data["ok"].astype(bool) if "ok" in data.columns else True
    data["latency_ms"] = data["latency_ms"].astype(float)
    return data


def _kind(lane: Any) -> str:
    """read or write, of a lane that is named `read reader`."""
    return str(lane).partition(" ")[0]


def _span_of(steps: pd.DataFrame | None) -> tuple[datetime, datetime] | None:
    return None if steps is None or steps.empty else (steps["started"].min(), steps["finished"].max())


def _longest_gap(data: pd.DataFrame, span: tuple[datetime, datetime] | None) -> tuple[Any, Any, float] | None:
    """Start, end and milliseconds of the longest time without a success that touches the span, in any one lane."""
    found = None
    for _, dots in data[data["ok"]].groupby("lane", sort=True):
        ends = (dots["at"] + pd.to_timedelta(dots["latency_ms"], unit="ms")).sort_values()
        gaps = ends.diff().dt.total_seconds() * 1000
        if span is not None:
            gaps = gaps.where((ends > span[0]) & (ends.shift() < span[1]))
        if gaps.notna().any() and (found is None or gaps.max() > found[2]):
            place = int(np.nanargmax(gaps.to_numpy()))
            found = (ends.iloc[place - 1], ends.iloc[place], float(gaps.iloc[place]))
    return found


def _bands(axes: Axes, steps: pd.DataFrame | None, instants: pd.Series[Any]) -> None:
    """Each step as a band; those are named that are wide enough for it."""
    if steps is None or steps.empty:
        return
    wide = (instants.max() - instants.min()) * NAMED_BAND
    for number, row in enumerate(steps.sort_values("started").to_dict("records")):
        colour = "#e8e8e8" if number % 2 else "#d6e4ee"
        axes.axvspan(row["started"], row["finished"], color=colour, linewidth=0, zorder=0)
        if row["finished"] - row["started"] >= wide:
            _name_band(axes, row["step"], row["started"])


def _name_band(axes: Axes, step: Any, started: Any) -> None:
    axes.annotate(
        _plain(textwrap.shorten(str(step), 34, placeholder=" …")), (started, 1),
        xycoords=("data", "axes fraction"), xytext=(2, -3), textcoords="offset points", va="top", rotation=90,
        fontsize=7.5, color=INK, zorder=5, path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.8)],
    )  # fmt: skip


def _mark_gap(axes: Axes, gap: tuple[Any, Any, float] | None) -> None:
    if gap is None:
        return
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom / 3, top)
    ends = {"arrowstyle": "|-|,widthA=.3,widthB=.3", "color": VERMILLION, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (gap[0], bottom / 1.6), (gap[1], bottom / 1.6), arrowprops=ends)
    middle = gap[0] + (gap[1] - gap[0]) / 2
    axes.annotate(f"longest gap {duration(gap[2])}", (middle, bottom / 1.6), xytext=(0, -4), textcoords="offset points",
                  ha="center", va="top", fontsize=8, color="#a83c00")  # fmt: skip


def _bar(axes: Axes, place: Any, start: Any, end: Any, label: str, colour: str, hatch: str) -> None:
    """A bar between two instants; a short one is drawn long enough to be seen."""
    if pd.isna(start) or pd.isna(end):
        return
    length = max(end - start, SHORTEST_BAR)
    axes.barh(place, length, 0.36, left=start, color=colour, hatch=hatch, edgecolor=INK, linewidth=0.4, label=label)


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def _count(value: float) -> str:
    return f"{value:,.0f}"
