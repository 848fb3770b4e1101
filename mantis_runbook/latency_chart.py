"""The picture of the probe's latency: each answer a dot, the steps behind, the longest gap."""

from __future__ import annotations

import textwrap
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter

from mantis_runbook.display import duration, many
from mantis_runbook.drawing import (
    CYCLE,
    INK,
    MARKERS,
    SOFT,
    VERMILLION,
    Picture,
    dress,
    legend,
    new_picture,
    no_data,
    plain,
    times,
)

__all__ = ["latency"]

#: A band needs this share of the width for its name, which stands upright in it.
NAMED_BAND = 0.03


def latency(
    frame: pd.DataFrame,
    steps: pd.DataFrame | None = None,
    span: tuple[datetime, datetime] | None = None,
) -> Picture:
    """The probe's latency over time, the steps as bands behind it, and the longest gap between two
    successes.

    Columns of `frame`: `at` (the scheduled instant), `latency_ms`; and where there are any, `lane`
    (read, write) and `ok` (False for an error). Columns of `steps`: `step`, `started`, `finished`.
    The gap is the longest that touches `span`, by default from the first step to the last; without
    steps, the longest of all.
    """
    if frame.empty:
        return no_data("Latency while the steps ran")
    data = _with_lanes(frame)
    span = span or _span_of(steps)
    gap = _longest_gap(data, span)
    picture = new_picture(
        _latency_title(data, gap, "while the steps ran" if span else "between successes"), 4.6
    )
    axes = picture.subplots()
    _bands(axes, steps, data["at"])
    _dots(axes, data)
    dress(axes, grid="y", ylabel="latency (log)")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    _mark_gap(axes, gap)
    times(axes, data["at"])
    if steps is not None and len(steps):
        axes.set_xlabel(
            f"{axes.get_xlabel()}; shaded: the steps, named where there is room",
            fontsize=9,
            color=SOFT,
        )
    legend(picture, axes)
    return picture


def _dots(axes: Axes, data: pd.DataFrame) -> None:
    """A dot for each answer, read and write apart, and a cross for each error."""
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
        axes.scatter(
            errors["at"], heights, s=34, color=VERMILLION, marker="x", label="error", zorder=4
        )


def _latency_title(data: pd.DataFrame, gap: tuple[Any, Any, float] | None, where: str) -> str:
    good = data.loc[data["ok"], "latency_ms"]
    bad = int((~data["ok"]).sum())
    errors = many(bad, "error") if bad else "no error"
    if good.empty:
        return f"Nothing was answered: {errors} in {many(len(data), 'probe')}"
    longest = f"longest gap {where} {duration(gap[2])}; in all " if gap else ""
    p99 = float(np.percentile(good.astype(float), 99))
    return f"{longest}p99 {duration(p99)}, {errors} in {len(data):,} probes".removeprefix(
        " "
    ).capitalize()


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
    return (
        None if steps is None or steps.empty else (steps["started"].min(), steps["finished"].max())
    )


def _longest_gap(
    data: pd.DataFrame, span: tuple[datetime, datetime] | None
) -> tuple[Any, Any, float] | None:
    """Start, end and milliseconds of the longest time without a success that touches the span, in
    any one lane.
    """
    longest = None
    for _, dots in data[data["ok"]].groupby("lane", sort=True):
        ends = (dots["at"] + pd.to_timedelta(dots["latency_ms"], unit="ms")).sort_values()
        gaps = ends.diff().dt.total_seconds() * 1000
        if span is not None:
            gaps = gaps.where((ends > span[0]) & (ends.shift() < span[1]))
        if gaps.notna().any() and (longest is None or gaps.max() > longest[2]):
            place = int(np.nanargmax(gaps.to_numpy()))
            longest = (ends.iloc[place - 1], ends.iloc[place], float(gaps.iloc[place]))
    return longest


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
        plain(textwrap.shorten(str(step), 34, placeholder=" …")),
        (started, 1),
        xycoords=("data", "axes fraction"),
        xytext=(2, -3),
        textcoords="offset points",
        va="top",
        rotation=90,
        fontsize=7.5,
        color=INK,
        zorder=5,
        path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.8)],
    )


def _mark_gap(axes: Axes, gap: tuple[Any, Any, float] | None) -> None:
    if gap is None:
        return
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom / 3, top)
    ends = {
        "arrowstyle": "|-|,widthA=.3,widthB=.3",
        "color": VERMILLION,
        "linewidth": 1.4,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axes.annotate("", (gap[0], bottom / 1.6), (gap[1], bottom / 1.6), arrowprops=ends)
    middle = gap[0] + (gap[1] - gap[0]) / 2
    axes.annotate(
        f"longest gap {duration(gap[2])}",
        (middle, bottom / 1.6),
        xytext=(0, -4),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=8,
        color="#a83c00",
    )
