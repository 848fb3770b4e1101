"""How results look: everything from a database is escaped, words have marks beside colours, numbers
are readable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from mantis_runbook.display import (
    COLOURS,
    Html,
    badge,
    callout,
    details,
    duration,
    escape,
    facts,
    many,
    table,
)
from mantis_runbook.runs.evidence import Table

NASTY = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "html",
    [
        table([{NASTY: NASTY}], caption=NASTY),
        table([{"verdict": NASTY}], verdict_column="verdict"),
        table([], caption=NASTY, empty=NASTY),
        table(pd.DataFrame({NASTY: [NASTY]})),
        facts({NASTY: NASTY}, caption=NASTY),
        badge(NASTY),
        callout(NASTY, NASTY),
        details(NASTY, NASTY),
        escape(NASTY),
    ],
)
def test_what_comes_from_a_database_is_escaped(html: str) -> None:
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_what_is_html_on_purpose_stays() -> None:
    assert "<b>x</b>" in table([{"a": Html("<b>x</b>")}])
    assert "<b>x</b>" in callout("fail", Html("<b>x</b>"))


@dataclass(frozen=True)
class Row:
    table_name: str
    rows: int


@pytest.mark.parametrize(
    "rows",
    [
        [Row("customer", 3)],
        [{"table_name": "customer", "rows": 3}],
        pd.DataFrame([Row("customer", 3)]),
        iter([Row("customer", 3)]),
    ],
)
def test_rows_may_be_frames_mappings_or_dataclasses(rows: object) -> None:
    assert re.sub(r"<[^>]+>", " ", table(rows)).split() == [
        "table",
        "name",
        "rows",
        "customer",
        "3",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (pd.NaT, "–"),
        ("", ""),
        (0, "0"),
        (987, "987"),
        (5432, "5,432"),
        (-12345, "-12,345"),
        (1.5, "1.5"),
        (2.0, "2"),
        (0.000123456, "0.0001235"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (np.int64(70000), "70,000"),
        (datetime(2026, 11, 22, 13, 5, tzinfo=UTC), "2026-11-22 13:05:00 UTC"),
        (timedelta(seconds=2.4), "2.4 s"),
        (["a", "b"], "a, b"),
        ({"a": 1}, "{&quot;a&quot;: 1}"),
    ],
)
def test_values_are_shown_for_reading(value: object, shown: str) -> None:
    assert f">{shown}</td>" in table([{"x": value}])


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ([1, 2], True),
        (["1,204 ms", "3 ms"], True),
        (["001", "002"], False),
        ([1, "x"], False),
        (["", ""], False),
        ([None, 3], True),
        ([True, False], False),
    ],
)
def test_numbers_stand_right(values: list[object], right: bool) -> None:
    assert ("text-align:right" in table([{"x": value} for value in values])) == right


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "–"),
        (0.123, "0.12 ms"),
        (340, "340 ms"),
        (999.6, "1.0 s"),
        (2400, "2.4 s"),
        (59_960, "1 min 00 s"),
        (63_400, "1 min 03 s"),
        (7_500_000, "2 h 05 min"),
    ],
)
def test_durations_are_shown_for_reading(milliseconds: float | None, text: str) -> None:
    assert duration(milliseconds) == text


def test_instants_of_one_day_stand_on_one_line_below_their_day() -> None:
    rows = [
        {"at": "2026-11-22T23:54:55.601+00:00"},
        {"at": None},
        {"at": "2026-11-22 23:54:56+00:00"},
    ]
    assert re.sub(r"<[^>]+>", " ", table(rows)).split() == [
        "at",
        "(UTC,",
        "2026-11-22)",
        "23:54:55.601",
        "–",
        "23:54:56",
    ]
    rows[1] = {"at": "2026-11-23T00:00:01+00:00"}
    assert re.findall(r"nowrap\">([^<]+)</span>", table(rows)) == [
        "2026-11-22 23:54:55.601", "2026-11-23 00:00:01", "2026-11-22 23:54:56"]  # fmt: skip


def test_texts_of_which_only_some_are_instants_stay_as_they_are() -> None:
    assert "2026-11-22T23:54:55+00:00" in table(
        [{"at": "2026-11-22T23:54:55+00:00"}, {"at": "later"}]
    )


def test_evidence_shows_no_column_of_empty_texts_and_says_below_how_to_read_it() -> None:
    shown = Table(
        "steps",
        [{"step": "a", "note": "", "p99": None}, {"step": "b", "note": "", "p99": None}],
        note="<read>",
    )
    html = shown._repr_html_()
    assert re.findall(r">([^<]+)</th>", html) == ["step", "p99"]
    assert html.endswith("<p>&lt;read&gt;</p>")


def luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("family", COLOURS)
def test_words_have_contrast_enough_and_a_mark_of_their_own(family: str) -> None:
    mark, background, text = COLOURS[family]
    darker, lighter = sorted((luminance(background), luminance(text)))
    assert (lighter + 0.05) / (darker + 0.05) >= 5
    assert [other[0] for other in COLOURS.values()].count(mark) == 1


@pytest.mark.parametrize(
    ("word", "family"),
    [
        ("passed", "pass"),
        ("PASS", "pass"),
        ("warned", "warn"),
        ("FAIL", "fail"),
        ("refused", "refused"),
        ("rolled back", "rolled back"),
        ("rolled_back", "rolled back"),
        ("interrupted", "inconclusive"),
        ("info", "info"),
        ("odd", "none"),
    ],
)
def test_every_verdict_word_has_its_family(word: str, family: str) -> None:
    assert f">{COLOURS[family][0]}<" in badge(word)


def test_what_is_only_said_does_not_look_like_a_question() -> None:
    assert COLOURS["info"][0] == "i"
    assert ">?<" not in badge("info") + callout("info", "said")


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("lock wait",), "0 lock waits"),
        (1, ("lock wait",), "1 lock wait"),
        (1204, ("index", "indexes"), "1,204 indexes"),
    ],
)
def test_a_noun_agrees_with_its_number(number: int, words: tuple[str, ...], said: str) -> None:
    assert many(number, *words) == said


def test_a_link_column_leads_to_notebooks_and_pages_under_their_names() -> None:
    rows = [
        {"link": "03_financial_management.ipynb"},
        {"link": "../run-1/04_advanced.html"},
        {"link": ""},
    ]
    found = table(rows, link_column="link")
    assert '<a href="03_financial_management.ipynb">03_financial_management</a>' in found
    assert '<a href="../run-1/04_advanced.html">run-1/04_advanced</a>' in found
    assert found.count("<a ") == 2
    assert "<script" not in table([{"link": NASTY}], link_column="link")
