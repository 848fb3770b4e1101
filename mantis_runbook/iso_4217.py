"""The currencies of ISO 4217 that are money in use, and how many digits their amounts have after the point."""

from __future__ import annotations

__all__ = ["AMOUNT_DIGITS", "MINOR_UNITS"]

#: Digits after the point that an amount of the enhanced schema holds (numeric(12,2)).
AMOUNT_DIGITS = 2

_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC
        CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES
        KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR
        NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT
        TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF",
}

#: Code → digits after the point. Funds, metals and units of account of a bank are left out.
#: <https://www.six-group.com/en/products-services/financial-information/data-standards.html>
MINOR_UNITS = {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}
