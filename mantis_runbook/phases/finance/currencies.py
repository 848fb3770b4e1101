"""The currencies of ISO 4217 that are money in use, and how many digits their amounts have after
the point.

Which currency is whose money, and until when, is read from babel's data (the Unicode CLDR).
"""

from __future__ import annotations

from datetime import date

from babel.core import get_global

__all__ = ["AMOUNT_DIGITS", "GIVEN_UP", "MINOR_UNITS"]

#: Digits after the point that an amount of the enhanced schema holds (numeric(12,2)).
AMOUNT_DIGITS = 2

#: ISO 4217's own digits, where they are not two. CLDR's differ: they are those of cash, 0 for IQD,
#: which has three.
#: <https://www.six-group.com/en/products-services/financial-information/data-standards.html>
_DIGITS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}

#: Code, and the day it ceased to be legal tender (None: it is), for each territory and time. Funds,
#: metals and units of account of a bank were nobody's tender.
_TENDERS = [
    (code, date(*end) if end else None)
    for spans in get_global("territory_currencies").values()
    for code, _, end, tender in spans
    if tender
]

#: Code → digits after the point.
MINOR_UNITS = {
    code: _DIGITS.get(code, 2) for code in sorted({code for code, end in _TENDERS if end is None})
}

#: Code → the last day on which what is nobody's money any more was somebody's.
GIVEN_UP = {code: end for code, end in sorted(_TENDERS, key=str) if end and code not in MINOR_UNITS}
