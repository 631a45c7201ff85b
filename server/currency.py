"""Currencies as Stripe takes them (https://docs.stripe.com/currencies): which, and what a minor unit is.

ISO 4217 and browsers say otherwise for some, HUF, ISK and UGX among them, and are a hundred times off: what
is charged decides. `web/core/format.ts` has the same three short lists.
"""

from __future__ import annotations


def _codes(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


TAKEN = _codes(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP
    MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR
    SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST
    XAF XCD XCG XOF XPF YER ZAR ZMW
    """
)
NO_DECIMALS = _codes("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF")
# Card networks don't carry the third: it is always 0.
THREE_DECIMALS = _codes("BHD JOD KWD OMR TND")
# They lost their decimals, and are still written with two, always 00.
WHOLE = _codes("ISK UGX")


def decimals(currency: str) -> int:
    """How many digits of an amount in minor units stand behind the point."""
    if currency in NO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2


def step_minor(currency: str) -> int:
    """What can be charged is a multiple of this."""
    if currency in WHOLE:
        return 100
    return 10 if currency in THREE_DECIMALS else 1
