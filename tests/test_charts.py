"""Pictures: a title that states the finding, the same bytes for the same data, and no data is no
error.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from datetime import timedelta

import matplotlib
import pandas as pd
import pytest
from PIL import Image

from mantis_runbook import charts
from mantis_runbook.charts import Picture
from mantis_runbook.phases.final.final_phase import schedule

START = pd.Timestamp("2026-11-22T13:05:00Z")


def at(*seconds: float) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([START + pd.Timedelta(seconds=second) for second in seconds])


def sizes() -> Picture:
    return charts.bars_of_sizes(
        pd.DataFrame(
            {
                "table": ["customer", "audit_log"],
                "bytes": [25_000_000, 75_000_000],
                "rows": [10, 3_000_000],
            }
        )
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
            {
                "step": ["a", "b", "c"],
                "predicted_ms": [100.0, 2000.0, None],
                "actual_ms": [300.0, 1900.0, 5.0],
            }
        )
    )


def latency() -> Picture:
    frame = pd.DataFrame({"at": at(0, 0.1, 0.2, 0.9, 1.0), "latency_ms": [2.0, 2.0, 2.0, 2.0, 2.0]})
    frame["ok"] = [True, True, True, True, False]
    steps = pd.DataFrame({"step": ["index"], "started": at(0.2), "finished": at(0.8)})
    return charts.latency(frame, steps)


def organisations() -> Picture:
    return charts.organisations(
        pd.DataFrame({"organisation": ["small", "Acme $x$", "none"], "rows": [30, 970, 0]})
    )


def gantt() -> Picture:
    weeks = pd.date_range("2026-11-02", periods=3, freq="W-MON")
    return charts.gantt(
        pd.DataFrame(
            {
                "phase": ["0", "1", "2"],
                "planned_start": weeks,
                "planned_end": weeks + pd.Timedelta(days=5),
                "actual_start": [weeks[0], weeks[1], None],
                "actual_end": [
                    weeks[0] + pd.Timedelta(hours=1),
                    weeks[1] + pd.Timedelta(days=6),
                    None,
                ],
            }
        )
    )


FINDINGS = {
    sizes: "audit_log is the largest table: 75 MB, 75% of all tables",
    monitoring: (
        "In 2.0 s of monitoring at most 2 queries waited, cache hit ratio not below 98.25 %"
    ),
    durations: (
        "Steps took 2.2 s, predicted 2.1 s; “a” ran furthest over its prediction, 3.0 times as long"
    ),
    latency: "Longest gap while the steps ran 700 ms; in all p99 2 ms, 1 error in 5 probes",
    organisations: "3 organisations: Acme $x$ holds 97% of the rows that belong to one, none 0",
    gantt: "2 of 3 phases finished, late: 1",
}


@pytest.mark.parametrize(
    ("draw", "finding"), FINDINGS.items(), ids=lambda item: getattr(item, "__name__", "")
)
def test_the_title_states_the_finding(draw: Callable[[], Picture], finding: str) -> None:
    assert draw().finding == finding


@pytest.mark.parametrize("draw", FINDINGS)
def test_the_same_data_gives_the_same_bytes(draw: Callable[[], Picture]) -> None:
    assert draw().png() == draw().png()


@pytest.mark.parametrize("draw", FINDINGS)
def test_a_picture_is_drawn_without_a_warning_and_as_wide_as_a_page(
    draw: Callable[[], Picture],
) -> None:
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
    [
        charts.bars_of_sizes,
        charts.monitoring,
        charts.durations,
        charts.latency,
        charts.organisations,
        charts.gantt,
    ],
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
        {
            "at": at(0, 1, 2, 3, 0, 3),
            "latency_ms": [1.0] * 6,
            "lane": ["read"] * 4 + ["write"] * 2,
            "ok": [True] * 6,
        }
    )
    assert "gap between successes 3.0 s" in charts.latency(frame).finding


def test_a_late_answer_is_a_gap_up_to_the_answer() -> None:
    frame = pd.DataFrame({"at": at(0, 0.1, 0.2), "latency_ms": [1.0, 2000.0, 1950.0]})
    assert "gap between successes 2.1 s" in charts.latency(frame).finding


def test_a_gap_before_the_first_step_or_after_the_last_is_none_of_theirs() -> None:
    frame = pd.DataFrame({"at": at(0, 5, 5.1, 5.3, 9), "latency_ms": [0.0] * 5})
    steps = pd.DataFrame({"step": ["a", "b"], "started": at(5.05, 5.1), "finished": at(5.1, 5.2)})
    assert "gap between successes 5.0 s" in charts.latency(frame).finding
    assert "gap while the steps ran 200 ms" in charts.latency(frame, steps).finding
    assert (
        "gap while the steps ran 3.7 s"
        in charts.latency(frame, steps, tuple(at(5.05, 5.4))).finding
    )


def test_only_a_band_with_room_for_it_bears_its_name() -> None:
    frame = pd.DataFrame({"at": at(0, 100), "latency_ms": [1.0, 1.0]})
    steps = pd.DataFrame({"step": ["short", "long"], "started": at(10, 12), "finished": at(12, 16)})
    texts = [text.get_text() for text in charts.latency(frame, steps).axes[0].texts]
    assert "long" in texts
    assert "short" not in texts


def test_many_lanes_are_two_colours_one_that_reads_and_one_that_writes() -> None:
    lanes = [f"{kind} t{number}" for kind in ("read", "write") for number in range(20)]
    frame = pd.DataFrame({"at": at(*range(40)), "latency_ms": [1.0] * 40, "lane": lanes})
    (legend,) = charts.latency(frame).legends
    assert [text.get_text() for text in legend.get_texts()] == ["read, 20 lanes", "write, 20 lanes"]


def test_the_clock_shows_hours_minutes_and_seconds() -> None:
    picture = charts.latency(pd.DataFrame({"at": at(0, 40), "latency_ms": [1.0, 1.0]}))
    picture.png()
    labels = [label.get_text() for label in picture.axes[0].get_xticklabels()]
    assert "13:05:10" in labels


def test_a_phase_that_goes_on_ends_where_it_was_seen_and_is_not_counted() -> None:
    weeks = pd.date_range("2026-11-02", periods=2, freq="W-MON")
    picture = charts.gantt(
        pd.DataFrame(
            {
                "phase": ["4 Advanced", "5 Final"],
                "planned_start": weeks,
                "planned_end": weeks + pd.Timedelta(days=7),
                "actual_start": weeks,
                "actual_end": [weeks[0] + pd.Timedelta(days=1), None],
                "going_on_at": [None, weeks[1] + pd.Timedelta(days=2)],
            }
        )
    )
    assert (
        picture.finding
        == "1 of 1 other phase finished, all in time; “5 Final” was going on when this was drawn"
    )
    assert [patch.get_width() for patch in picture.axes[0].patches] == [7, 1, 7, 2]


def test_the_schedule_of_a_run_that_is_going_on_ends_by_now() -> None:
    began = START.to_pydatetime()
    started = {str(number): began + timedelta(minutes=number) for number in range(6)}
    finished = {
        number: one + timedelta(seconds=30) for number, one in started.items() if number != "5"
    }
    records = schedule(started, finished, began + timedelta(minutes=6))
    assert [record["planned_start"] for record in records][:2] == ["2026-11-16", "2026-11-23"]
    assert [record.get("going_on_at") for record in records] == [None] * 5 + [
        "2026-11-22 13:11:00+00:00"
    ]
    assert charts.gantt(pd.DataFrame(records)).finding.startswith(
        "5 of 5 other phases finished, all in time"
    )


def test_a_bar_too_short_to_be_seen_is_drawn_longer_and_the_axis_says_so() -> None:
    assert "bars of less than 8 hours are drawn as long as that" in gantt().axes[0].get_xlabel()


@pytest.mark.parametrize(
    ("ratio", "said"), [(99.98, "99.98 %"), (99.999, "99.99 %"), (100.0, "100.00 %")]
)
def test_what_is_not_below_is_rounded_down(ratio: float, said: str) -> None:
    frame = pd.DataFrame({"at": at(0, 1), "cache_hit_ratio": [100.0, ratio]})
    assert charts.monitoring(frame).finding.endswith(f"not below {said}")


def test_steps_within_their_prediction_say_so() -> None:
    frame = pd.DataFrame({"step": ["a"], "predicted_ms": [100.0], "actual_ms": [90.0]})
    assert (
        charts.durations(frame).finding
        == "All steps within their prediction: 90 ms, predicted 100 ms"
    )
    frame = pd.DataFrame({"step": ["a"], "predicted_ms": [None], "actual_ms": [90.0]})
    assert charts.durations(frame).finding == "1 step ran, none was predicted"


def test_many_tables_are_summed_up() -> None:
    frame = pd.DataFrame(
        {"table": [f"t{n:03}" for n in range(200)], "bytes": range(200), "rows": range(200)}
    )
    labels = [label.get_text() for label in charts.bars_of_sizes(frame).axes[0].get_yticklabels()]
    assert len(labels) == charts.MOST_BARS
    assert labels[-1] == "176 others"
