"""Pictures of results: each has a title that states what it shows, and prints in grey as well as in
colour.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mantis_runbook.display import duration, many
from mantis_runbook.drawing import (
    BLACK,
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    bars_height,
    dress,
    label_bars,
    legend,
    name_bars,
    new_picture,
    no_data,
    room,
    times,
)
from mantis_runbook.latency_chart import latency

__all__ = [
    "bars_of_sizes", "durations", "gantt", "latency", "monitoring", "organisations", "save",
]  # fmt: skip

#: More bars than this are hard to read; the smallest are summed up in one.
MOST_BARS = 25

#: A bar of the schedule is drawn at least this long: on an axis of weeks nobody would see one of
#: minutes.
SHORTEST_BAR = pd.Timedelta(hours=8)


def save(picture: Picture, path: Path) -> Path:
    """Write a picture as PNG into a run's `charts/`; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture.png())
    return path


def bars_of_sizes(frame: pd.DataFrame) -> Picture:
    """Tables by size and by rows. Columns: `table`, `bytes`, `rows`."""
    if frame.empty:
        return no_data("Tables by size")
    data = _largest(
        frame[["table", "bytes", "rows"]].sort_values(["bytes", "table"], ascending=[False, True])
    )
    total, first = frame["bytes"].sum(), data.iloc[0]
    share = f", {first['bytes'] / total:.0%} of all tables" if total else ""
    picture = new_picture(
        f"{first['table']} is the largest table: {_bytes(first['bytes'])}{share}",
        bars_height(len(data)),
    )
    left, right = picture.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.06})
    places = np.arange(len(data))
    for axes, column, colour, label, unit in (
        (left, "bytes", BLUE, "size with indexes", _bytes), (right, "rows", SKY, "rows", _count),
    ):  # fmt: skip
        axes.barh(
            places,
            data[column],
            color=colour,
            edgecolor=INK,
            linewidth=0.4,
            hatch="" if column == "bytes" else "///",
        )
        dress(axes, grid="x", xlabel=label)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _, unit=unit: unit(value)))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        label_bars(axes, places, data[column], unit)
    name_bars(left, places, data["table"])
    right.tick_params(axis="y", length=0)
    return picture


def monitoring(frame: pd.DataFrame) -> Picture:
    """The strategy's figures over time, one small picture each.

    Columns: `at` (instants), and any of `active_connections`, `waiting_queries`, `avg_query_ms`,
    `cache_hit_ratio` (per cent), `disk_usage_gb`; missing ones are left out.
    """
    panels = [
        panel for panel in PANELS if panel[0] in frame.columns and frame[panel[0]].notna().any()
    ]
    if frame.empty or not panels:
        return no_data("Monitoring")
    data = frame.sort_values("at")
    picture = new_picture(_monitoring_title(data), 0.6 + 1.25 * len(panels))
    all_axes = np.atleast_1d(picture.subplots(len(panels), 1, sharex=True))
    for axes, (column, label, colour, marker) in zip(all_axes, panels, strict=True):
        values = data[column].astype(float)
        few = len(data) <= 120
        axes.plot(
            data["at"],
            values,
            color=colour,
            linewidth=1.3,
            marker=marker if few else "",
            markersize=3.5,
        )
        dress(axes, grid="y", ylabel=label)
        axes.yaxis.set_major_locator(
            MaxNLocator(3, integer=column in ("active_connections", "waiting_queries"))
        )
        room(axes, values)
    times(all_axes[-1], data["at"])
    return picture


PANELS = (
    ("active_connections", "active\nconnections", BLUE, "o"),
    ("waiting_queries", "waiting\nqueries", VERMILLION, "s"),
    ("avg_query_ms", "average query\ntime (ms)", PURPLE, "D"),
    ("cache_hit_ratio", "cache hit\nratio (%)", GREEN, "^"),
    ("disk_usage_gb", "size on\ndisk (GB)", BLACK, "v"),
)


def durations(frame: pd.DataFrame) -> Picture:
    """Steps as predicted by the rehearsal against what they took.

    Columns: `step`, `predicted_ms`, `actual_ms`.
    """
    if frame.empty:
        return no_data("Duration of steps")
    data = frame.reset_index(drop=True)
    picture = new_picture(_durations_title(data), bars_height(2 * len(data)))
    axes, places = picture.subplots(), np.arange(len(data))
    for offset, column, colour, hatch, label in (
        (-0.2, "predicted_ms", SKY, "///", "predicted by the rehearsal"),
        (0.2, "actual_ms", BLUE, "", "actual"),
    ):
        values = data[column].astype(float)
        axes.barh(
            places + offset,
            values,
            0.38,
            color=colour,
            hatch=hatch,
            edgecolor=INK,
            linewidth=0.4,
            label=label,
        )
        label_bars(axes, places + offset, values, duration)
    name_bars(axes, places, data["step"])
    dress(axes, grid="x", xlabel="duration")
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: duration(value) if value else "0")
    )
    axes.xaxis.set_major_locator(MaxNLocator(6))
    legend(picture, axes)
    return picture


def organisations(frame: pd.DataFrame) -> Picture:
    """Rows per organisation, logarithmic, largest first. Columns: `organisation`, `rows`."""
    if frame.empty:
        return no_data("Rows per organisation")
    data = frame.groupby("organisation", sort=True)["rows"].sum().reset_index()
    data = data.sort_values(["rows", "organisation"], ascending=[False, True])
    total, first, last = data["rows"].sum(), data.iloc[0], data.iloc[-1]
    share = f"{first['rows'] / total:.0%} of the rows that belong to one" if total else "no rows"
    title = f"{many(len(data), 'organisation')}: {first['organisation']} holds {share}"
    title += f", {last['organisation']} {_count(last['rows'])}" if len(data) > 1 else ""
    data = data.head(MOST_BARS)
    picture = new_picture(title, bars_height(len(data)))
    axes, places = picture.subplots(), np.arange(len(data))
    axes.barh(places, data["rows"].clip(lower=0.8), color=BLUE, edgecolor=INK, linewidth=0.4)
    axes.set_xscale("log")
    axes.set_xlim(0.7, max(10, float(first["rows"])) * 4)
    name_bars(axes, places, data["organisation"])
    dress(axes, grid="x", xlabel="rows (logarithmic)")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))
    for place, rows in zip(places, data["rows"], strict=True):
        axes.annotate(
            _count(rows),
            (max(rows, 0.8), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )
    return picture


def gantt(frame: pd.DataFrame) -> Picture:
    """The plan's weeks against what happened.

    Columns: `phase`, `planned_start`, `planned_end`, `actual_start`, `actual_end`. A phase that has
    not begun has no actual instants; one that has begun and not ended has no `actual_end`, and is
    drawn to where `going_on_at` says that it was seen going on.
    """
    if frame.empty:
        return no_data("Schedule")
    data = frame.reindex(columns=[*INSTANTS, "phase"]).reset_index(drop=True)
    for column in INSTANTS:
        data[column] = pd.to_datetime(data[column], utc=True).dt.tz_localize(None)
    going = _going_on(data)
    data["until"] = data["actual_end"].fillna(data["going_on_at"]).fillna(data["actual_start"])
    picture = new_picture(_gantt_title(data), bars_height(2 * len(data)) + 0.3)
    axes = picture.subplots()
    for place, row in enumerate(data.to_dict("records")):
        _bar(axes, place - 0.2, row["planned_start"], row["planned_end"], "planned", SKY, "///")
        label, colour = ("going on", ORANGE) if going[place] else ("actual", BLUE)
        _bar(axes, place + 0.2, row["actual_start"], row["until"], label, colour, "")
    name_bars(axes, np.arange(len(data)), data["phase"])
    dress(axes, grid="x", xlabel=_gantt_note(data))
    axes.margins(x=0.02)
    _mondays(axes, data)
    legend(picture, axes)
    return picture


INSTANTS = ("planned_start", "planned_end", "actual_start", "actual_end", "going_on_at")


# Titles: what the data says


def _monitoring_title(data: pd.DataFrame) -> str:
    span = duration((data["at"].max() - data["at"].min()).total_seconds() * 1000)
    parts = []
    if "waiting_queries" in data.columns:
        waiting = data["waiting_queries"].astype(float).max()
        parts.append(
            f"at most {many(int(waiting), 'query', 'queries')} waited"
            if waiting
            else "no query waited"
        )
    if "cache_hit_ratio" in data.columns and data["cache_hit_ratio"].notna().any():
        parts.append(
            f"cache hit ratio not below {_floor(data['cache_hit_ratio'].astype(float).min())} %"
        )
    return f"In {span} of monitoring {', '.join(parts)}" if parts else f"Monitoring over {span}"


def _durations_title(data: pd.DataFrame) -> str:
    known = data.dropna(subset=["predicted_ms", "actual_ms"])
    if known.empty:
        ran = data["actual_ms"].notna().sum()
        return f"{many(int(ran), 'step')} ran, none was predicted" if ran else "No step has run yet"
    total = (
        f"{duration(known['actual_ms'].sum())}, predicted {duration(known['predicted_ms'].sum())}"
    )
    ratio = known["actual_ms"].astype(float) / known["predicted_ms"].astype(float).clip(lower=0.01)
    worst = known.iloc[int(ratio.argmax())]
    if ratio.max() <= 1:
        return f"All steps within their prediction: {total}"
    return (
        f"Steps took {total}; “{worst['step']}” ran furthest over its prediction, {ratio.max():.1f}"
        " times as long"
    )


def _gantt_title(data: pd.DataFrame) -> str:
    """Of phases that are still going on is said that they are: one of them has this picture drawn,
    and cannot be over.
    """
    going = _going_on(data)
    named = ", ".join(map(str, data.loc[going, "phase"]))
    tail = f"; “{named}” was going on when this was drawn" if going.any() else ""
    rest = data[~going]
    done = rest["actual_end"].notna()
    finished = (
        f"{int(done.sum())} of {many(len(rest), 'other phase' if going.any() else 'phase')}"
        " finished"
    )
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
            "date"
            if pd.isna(begins)
            else f"Mondays; the plan's weeks count from {begins:%Y-%m-%d},"
            " the week of the first phase",
            *(
                [
                    f"bars of less than {SHORTEST_BAR.total_seconds() / 3600:.0f} hours are"
                    " drawn as long as that"
                ]
                if short.any()
                else []
            ),
        )
    )


def _going_on(data: pd.DataFrame) -> pd.Series[bool]:
    return data["actual_start"].notna() & data["actual_end"].isna()


def _floor(per_cent: float) -> str:
    """Rounded down: of what is "not below", the nearest figure may be above."""
    return f"{math.floor(round(per_cent * 100, 6)) / 100:.2f}"


# Parts


def _mondays(axes: Axes, data: pd.DataFrame) -> None:
    weeks = (data[list(INSTANTS)].max().max() - data[list(INSTANTS)].min().min()).days // 7
    every = max(1, -(-weeks // 9))
    mondays = mdates.WeekdayLocator(  # type: ignore[no-untyped-call]
        byweekday=mdates.MO, interval=every
    )
    axes.xaxis.set_major_locator(mondays)
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%d %b"))  # type: ignore[no-untyped-call]


def _largest(data: pd.DataFrame) -> pd.DataFrame:
    if len(data) <= MOST_BARS:
        return data
    rest = data.iloc[MOST_BARS - 1 :]
    others = pd.DataFrame(
        {
            "table": [f"{len(rest)} others"],
            "bytes": [rest["bytes"].sum()],
            "rows": [rest["rows"].sum()],
        }
    )
    return pd.concat([data.iloc[: MOST_BARS - 1], others], ignore_index=True)


def _bar(axes: Axes, place: Any, start: Any, end: Any, label: str, colour: str, hatch: str) -> None:
    """A bar between two instants; a short one is drawn long enough to be seen."""
    if pd.isna(start) or pd.isna(end):
        return
    length = max(end - start, SHORTEST_BAR)
    axes.barh(
        place,
        length,
        0.36,
        left=start,
        color=colour,
        hatch=hatch,
        edgecolor=INK,
        linewidth=0.4,
        label=label,
    )


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def _count(value: float) -> str:
    return f"{value:,.0f}"
