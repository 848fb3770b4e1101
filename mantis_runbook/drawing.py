"""What every picture is made of: its size, colours for every kind of vision, axes, labels, and how
it shows itself.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

__all__ = [
    "BLACK",
    "BLUE",
    "CYCLE",
    "GREEN",
    "INK",
    "MARKERS",
    "ORANGE",
    "PURPLE",
    "SKY",
    "SOFT",
    "VERMILLION",
    "Picture",
    "bars_height",
    "dress",
    "label_bars",
    "legend",
    "name_bars",
    "new_picture",
    "no_data",
    "plain",
    "room",
    "times",
]

DPI = 110
WIDTH = 8.2  # inches: 902 pixels

#: Okabe and Ito's colours, told apart by every kind of colour vision;
#: https://jfly.uni-koeln.de/color/
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
)  # fmt: skip
CYCLE = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK)
MARKERS = "osD^vPX"
INK, SOFT, RULE = "#1a1a1a", "#555555", "#d9d9d9"


class Picture(Figure):
    """A figure that shows itself in a notebook without pyplot, with its title as the text for who
    cannot see it.
    """

    finding: str = ""

    def png(self) -> bytes:
        """The picture as a PNG file that holds its title; the same bytes for the same data."""
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            # A name in a script that the font lacks shows as boxes; the table beside the picture
            # has it in full.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            FigureCanvasAgg(self).print_png(  # type: ignore[no-untyped-call]
                buffer, metadata={"Title": self.finding, "Software": None}
            )
        return buffer.getvalue()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"image/png": self.png(), "text/plain": self.finding}, {
            "image/png": {"alt": self.finding}
        }


def new_picture(title: str, height: float) -> Picture:
    """An empty picture of our width; the title states what it shows. Height in inches."""
    engine = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.07)
    picture = Picture(figsize=(WIDTH, height), dpi=DPI, layout=engine, facecolor="white")
    FigureCanvasAgg(picture)
    picture.finding = title
    wrapped = textwrap.fill(plain(title), 88)
    picture.suptitle(wrapped, x=0.012, ha="left", fontsize=11.5, fontweight="bold", color=INK)
    return picture


def plain(text: Any) -> str:
    """Text as it is: a dollar sign from the database must not start a formula, nor a control
    character be drawn.
    """
    shown = "".join(
        letter if letter.isprintable() or letter == "\n" else "�" for letter in str(text)
    )
    return shown.replace("$", r"\$")


def no_data(subject: str) -> Picture:
    """A picture that says there is nothing to draw."""
    picture = new_picture(f"{subject}: no data", 1.6)
    axes = picture.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no data", ha="center", va="center", fontsize=13, color=SOFT)
    return picture


def bars_height(bars: int) -> float:
    """Inches for so many horizontal bars."""
    return 1.25 + 0.235 * max(bars, 3)


def dress(axes: Axes, *, grid: str, xlabel: str = "", ylabel: str = "") -> None:
    """Quiet axes: no frame, a grid one way, labels in small letters."""
    for side in ("top", "right", "left" if grid == "x" else "top"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(labelsize=8.5, color=SOFT, labelcolor=INK)
    axes.grid(axis=grid, color=RULE, linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, fontsize=9, color=SOFT)
    axes.set_ylabel(ylabel, fontsize=9, color=SOFT)


def name_bars(axes: Axes, places: np.ndarray[Any, Any], names: Iterable[Any]) -> None:
    """The names of horizontal bars, the first at the top."""
    axes.set_yticks(
        places, [plain(textwrap.shorten(str(name), 40, placeholder=" …")) for name in names]
    )
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def label_bars(
    axes: Axes,
    places: np.ndarray[Any, Any],
    values: Sequence[Any] | pd.Series[Any],
    unit: Callable[[float], str],
) -> None:
    """Each bar's value at its end, with room for it on the right."""
    top = max((float(value) for value in values if pd.notna(value)), default=0.0)
    axes.set_xlim(0, max(axes.get_xlim()[1], (top or 1) * 1.22))
    for place, value in zip(places, values, strict=True):
        if pd.notna(value):
            axes.annotate(
                unit(float(value)),
                (float(value), place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )


def legend(picture: Picture, axes: Axes) -> None:
    """Each label once, below the picture."""
    handles, labels = axes.get_legend_handles_labels()
    single = dict(zip(labels, handles, strict=True))
    if single:
        picture.legend(
            single.values(),
            single.keys(),
            loc="outside lower left",
            ncols=4,
            frameon=False,
            fontsize=8.5,
            markerscale=2,
        )


def times(axes: Axes, instants: pd.Series[Any]) -> None:
    """Instants along the bottom, as many as can be read."""
    if instants.min() == instants.max():
        axes.set_xlim(
            instants.min() - pd.Timedelta(seconds=1), instants.max() + pd.Timedelta(seconds=1)
        )
    locator = mdates.AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    locator.intervald[mdates.SECONDLY] = [
        1,
        2,
        5,
        10,
        15,
        30,
    ]  # its own go from 1 to 5: two ticks in 9 s
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(FuncFormatter(_clock(instants.max() - instants.min())))
    axes.set_xlabel(f"time (UTC), {instants.min():%Y-%m-%d}", fontsize=9, color=SOFT)


def _clock(span: pd.Timedelta) -> Callable[[float, int], str]:
    """How instants of such a span are written, as few letters as tell them apart."""
    form = (
        "%H:%M:%S"
        if span < pd.Timedelta(hours=2)
        else "%H:%M"
        if span < pd.Timedelta(days=1)
        else "%m-%d %H:%M"
    )
    tenths = span < pd.Timedelta(seconds=6)

    def written(value: float, _: int) -> str:
        at = mdates.num2date(value)  # type: ignore[no-untyped-call]
        return f"{at:{form}}" + (f".{at.microsecond // 100_000}" if tenths else "")

    return written


def room(axes: Axes, values: pd.Series[Any]) -> None:
    """Room above and below the values; never below zero where they are not."""
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * 0.15 or max(abs(high) * 0.05, 0.5)
    axes.set_ylim(max(0, low - margin) if low >= 0 else low - margin, high + margin)
