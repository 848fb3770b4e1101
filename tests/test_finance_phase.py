"""Phase 3's own: decisions are read strictly, and control totals agree to the last digit or name the difference."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mantis_runbook.errors import ParameterError
from mantis_runbook.finance_phase import currency_additions, currency_choices, differences

TOTAL = {("org", "customer", "lifetime_value", "EUR"): (3, Decimal("10.00"))}


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("", {}),
        ("ZAR=USD", {"ZAR": "USD"}),
        (" ZAR = USD , GPB=GBP ", {"ZAR": "USD", "GPB": "GBP"}),
        ("ZAR=USD,ZAR=USD", {"ZAR": "USD"}),
    ],
)
def test_what_unknown_codes_stand_for(text, choices):
    assert currency_choices(text) == choices


@pytest.mark.parametrize("text", ["ZAR", "ZAR=", "=USD", "ZAR=USD,ZAR=EUR", "ZAR:USD"])
def test_a_currency_map_that_says_two_things_or_none_is_refused(text):
    with pytest.raises(ParameterError, match="currency_map"):
        currency_choices(text)


@pytest.mark.parametrize(("text", "codes"), [("", ()), ("ZAR", ("ZAR",)), (" KRW , ZAR,KRW,", ("KRW", "ZAR"))])
def test_what_is_to_be_added(text, codes):
    assert currency_additions(text) == codes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("XQQ", "found 'XQQ', expected codes of ISO 4217"),
        ("ZAR, zar", "found 'zar', expected codes of ISO 4217"),
        ("RAND", "found 'RAND'"),
        ("ZAR;KRW", "found 'ZAR;KRW'"),
        ("ZAR=USD", "found 'ZAR=USD'"),
        ("XAU", "found 'XAU'"),
        ("KWD", "found KWD, whose amounts have 3 digits after the point, expected a currency of at most 2"),
    ],
)
def test_what_is_no_currency_of_ours_is_not_added(text, found):
    with pytest.raises(ParameterError, match=f"parameter currency_add: {found}"):
        currency_additions(text)


@pytest.mark.parametrize(
    ("after", "count"),
    [
        (TOTAL, 0),
        ({("org", "customer", "lifetime_value", "EUR"): (3, Decimal("10.01"))}, 1),
        ({("org", "customer", "lifetime_value", "EUR"): (4, Decimal("10.00"))}, 1),
        ({("org", "customer", "lifetime_value", "USD"): (3, Decimal("10.00"))}, 2),
        ({}, 1),
    ],
)
def test_control_totals_that_differ_are_found(after, count):
    assert len(differences(TOTAL, after)) == count
