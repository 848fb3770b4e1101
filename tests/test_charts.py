"""Pictures: a title that states the finding, the same bytes for the same data, and no data is no error."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import matplotlib
import pandas as pd
import pytest
from PIL import Image

from mantis_runbook import charts
from mantis_runbook.charts import Picture

START = pd.Timestamp("2026-11-22T13:05:00Z")


def at(*seconds: float) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([START + pd.Timedelta(seconds=second) for second in seconds])


def sizes() -> Picture:
    return charts.bars_of_sizes(
        pd.DataFrame({"table": ["customer", "audit_log"], "bytes": [25_000_000, 75_000_000], "rows": [10, 3_000_000]})
    )


def monitoring() -> Picture:
    return charts.monitoring(
        pd.DataFrame(
            {"at": at(0, 1, 2), "active_connections": [3, 5, 4], "waiting_queries": [0, 2, 0],
             "avg_query_ms": [3.0, 8.5, None], "cache_hit_ratio": [99.5, 98.25, 99.0]}
        )
    )  # fmt: skip


def durations() -> Picture:
    return charts.durations(
        pd.DataFrame(
            {"step": ["a", "b", "c"], "predicted_ms": [100.0, 2000.0, None], "actual_ms": [300.0, 1900.0, 5.0]}
        )
    )


def latency() -> Picture:
    frame = pd.DataFrame({"at": at(0, 0.1, 0.2, 0.9, 1.0), "latency_ms": [2.0, 2.0, 2.0, 2.0, 2.0]})
    frame["ok"] = [True, True, True, True, False]
    steps = pd.DataFrame({"step": ["index"], "started": at(0.2), "finished": at(0.8)})
    return charts.latency(frame, steps)


def organisations() -> Picture:
    return charts.organisations(pd.DataFrame({"organisation": ["small", "Acme $x$", "none"], "rows": [30, 970, 0]}))


def gantt() -> Picture:
    weeks = pd.date_range("2026-11-02", periods=3, freq="W-MON")
    return charts.gantt(
        pd.DataFrame(
            {"phase": ["0", "1", "2"], "planned_start": weeks, "planned_end": weeks + pd.Timedelta(days=5),
             "actual_start": [weeks[0], weeks[1], None],
             "actual_end": [weeks[0] + pd.Timedelta(hours=1), weeks[1] + pd.Timedelta(days=6), None]}
        )
    )  # fmt: skip


FINDINGS = {
    sizes: "audit_log is the largest table: 75 MB, 75% of all tables",
    monitoring: "In 2.0 s of monitoring at most 2 queries waited, cache hit ratio not below 98.2 %",
    durations: "Steps took 2.2 s, predicted 2.1 s; “a” strayed most, 3.0 times its prediction",
    latency: "Longest gap between successes 700 ms, p99 2 ms, 1 error in 5 probes",
    organisations: "3 organisations: Acme $x$ holds 97% of all rows, none 0",
    gantt: "2 of 3 phases finished, late: 1",
}


@pytest.mark.parametrize(("draw", "finding"), FINDINGS.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_the_title_states_the_finding(draw: Callable[[], Picture], finding: str) -> None:
    assert draw().finding == finding


@pytest.mark.parametrize("draw", FINDINGS)
def test_the_same_data_gives_the_same_bytes(draw: Callable[[], Picture]) -> None:
    assert draw().png() == draw().png()


@pytest.mark.parametrize("draw", FINDINGS)
def test_a_picture_is_drawn_without_a_warning_and_as_wide_as_a_page(draw: Callable[[], Picture]) -> None:
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = Image.open(io.BytesIO(draw().png()))
    assert 850 <= image.width <= 950
    assert 150 <= image.height <= 1500
    assert image.info["Title"] == draw().finding
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("draw", FINDINGS)
def test_axes_are_labelled(draw: Callable[[], Picture]) -> None:
    assert all(axes.get_xlabel() or axes.get_ylabel() for axes in draw().axes)


@pytest.mark.parametrize(
    "draw",
    [charts.bars_of_sizes, charts.monitoring, charts.durations, charts.latency, charts.organisations, charts.gantt],
)
def test_no_data_is_no_error(draw: Callable[[pd.DataFrame], Picture]) -> None:
    picture = draw(pd.DataFrame())
    assert picture.finding.endswith(": no data")
    assert picture.png()


def test_a_notebook_shows_a_picture_with_its_title_as_text() -> None:
    data, metadata = sizes()._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert metadata["image/png"]["alt"] == data["text/plain"] == FINDINGS[sizes]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"at": at(0), "latency_ms": [3.0]}),
        pd.DataFrame({"at": at(0, 1), "latency_ms": [None, None], "ok": [False, False]}),
        pd.DataFrame({"at": at(0, 1), "latency_ms": [0.0, 0.0], "lane": ["read", "write"]}),
    ],
    ids=["one", "errors only", "zeros"],
)
def test_a_meagre_probe_is_drawn_too(frame: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert charts.latency(frame).png()


def test_the_gap_is_of_the_lane_where_it_was_longest() -> None:
    frame = pd.DataFrame(
        {"at": at(0, 1, 2, 3, 0, 3), "latency_ms": [1.0] * 6, "lane": ["read"] * 4 + ["write"] * 2, "ok": [True] * 6}
    )
    assert "gap between successes 3.0 s" in charts.latency(frame).finding


def test_a_late_answer_is_a_gap_up_to_the_answer() -> None:
    frame = pd.DataFrame({"at": at(0, 0.1, 0.2), "latency_ms": [1.0, 2000.0, 1950.0]})
    assert "gap between successes 2.1 s" in charts.latency(frame).finding


def test_steps_within_their_prediction_say_so() -> None:
    frame = pd.DataFrame({"step": ["a"], "predicted_ms": [100.0], "actual_ms": [90.0]})
    assert charts.durations(frame).finding == "All steps within their prediction: 90 ms, predicted 100 ms"
    frame = pd.DataFrame({"step": ["a"], "predicted_ms": [None], "actual_ms": [90.0]})
    assert charts.durations(frame).finding == "1 step ran, none was predicted"


def test_many_tables_are_summed_up() -> None:
    frame = pd.DataFrame({"table": [f"t{n:03}" for n in range(200)], "bytes": range(200), "rows": range(200)})
    labels = [label.get_text() for label in charts.bars_of_sizes(frame).axes[0].get_yticklabels()]
    assert len(labels) == charts.MOST_BARS
    assert labels[-1] == "176 others"
