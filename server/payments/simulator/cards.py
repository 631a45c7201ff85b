"""Stripe's test payment methods, and what the bank behind each would say.

Names and meanings follow docs.stripe.com/testing. The two `pm_sim_…` cards are ours: they can be saved and
then decline with a reason of their own, where Stripe offers only `pm_card_chargeCustomerFail`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Decline:
    """A bank's no: Stripe's error `code`, and `decline_code` where there is one."""

    code: str
    decline_code: str | None
    message: str


Authenticate = Literal["never", "unless_saved", "on_session", "always"]
Verdict = Decline | Literal["approve", "authenticate"]


@dataclass(frozen=True, slots=True)
class TestCard:
    """One test card. `authenticate`: when 3-D Secure is asked for; `decline`: what a charge meets."""

    __test__ = False  # not a test class, whatever its name says

    brand: str
    last4: str
    decline: Decline | None = None
    declines_saving: bool = False
    authenticate: Authenticate = "never"
    disputed: bool = False
    refund_fails: bool = False
    funding: str = "credit"


def _declined(reason: str) -> Decline:
    return Decline("card_declined", reason, _MESSAGES.get(reason, "Your card was declined."))


_MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "card_velocity_exceeded": "Your card was declined for making repeated attempts too often.",
}
_GENERIC = _declined("generic_decline")
_FUNDS = _declined("insufficient_funds")
_EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.")
_CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")
_PROCESSING = Decline(
    "processing_error", "processing_error", "An error occurred while processing your card. Try again."
)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)

CARDS: dict[str, TestCard] = {
    "pm_card_visa": TestCard("visa", "4242"),
    "pm_card_visa_debit": TestCard("visa", "5556", funding="debit"),
    "pm_card_mastercard": TestCard("mastercard", "4444"),
    "pm_card_mastercard_debit": TestCard("mastercard", "3222", funding="debit"),
    "pm_card_mastercard_prepaid": TestCard("mastercard", "5100", funding="prepaid"),
    "pm_card_amex": TestCard("amex", "8431"),
    "pm_card_discover": TestCard("discover", "9424"),
    "pm_card_diners": TestCard("diners", "0004"),
    "pm_card_jcb": TestCard("jcb", "0505"),
    "pm_card_unionpay": TestCard("unionpay", "0005"),
    "pm_card_chargeCustomerFail": TestCard("visa", "0341", _GENERIC),
    "pm_sim_savedInsufficientFunds": TestCard("visa", "1995", _FUNDS),
    "pm_sim_savedExpiredCard": TestCard("mastercard", "1069", _EXPIRED),
    "pm_card_visa_chargeDeclined": TestCard("visa", "0002", _GENERIC, True),
    "pm_card_visa_chargeDeclinedInsufficientFunds": TestCard("visa", "9995", _FUNDS, True),
    "pm_card_visa_chargeDeclinedLostCard": TestCard("visa", "9987", _declined("lost_card"), True),
    "pm_card_visa_chargeDeclinedStolenCard": TestCard("visa", "9979", _declined("stolen_card"), True),
    "pm_card_visa_chargeDeclinedFraudulent": TestCard("visa", "0019", _declined("fraudulent"), True),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": TestCard(
        "visa", "6975", _declined("card_velocity_exceeded"), True
    ),
    "pm_card_chargeDeclinedExpiredCard": TestCard("visa", "0069", _EXPIRED, True),
    "pm_card_chargeDeclinedIncorrectCvc": TestCard("visa", "0127", _CVC, True),
    "pm_card_chargeDeclinedProcessingError": TestCard("visa", "0119", _PROCESSING, True),
    "pm_card_threeDSecureOptional": TestCard("visa", "3055"),
    "pm_card_threeDSecure2Required": TestCard("visa", "3220", authenticate="always"),
    "pm_card_threeDSecureRequired": TestCard("visa", "3063", authenticate="always"),
    "pm_card_threeDSecureRequiredChargeDeclined": TestCard("visa", "1629", _GENERIC, authenticate="always"),
    "pm_card_authenticationRequired": TestCard("visa", "3184", authenticate="always"),
    "pm_card_authenticationRequiredOnSetup": TestCard("visa", "3155", authenticate="unless_saved"),
    "pm_card_authenticationRequiredSetupForOffSession": TestCard("visa", "0446", authenticate="on_session"),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": TestCard(
        "visa", "8260", _FUNDS, authenticate="always"
    ),
    "pm_card_createDispute": TestCard("visa", "0259", disputed=True),
    "pm_card_refundFail": TestCard("visa", "5126", refund_fails=True),
}


def on_charge(card: TestCard, *, off_session: bool, saved: bool, authenticated: bool) -> Verdict:
    """What a charge meets. `saved`: by a SetupIntent; `authenticated`: 3-D Secure passed."""
    if not authenticated and _must_authenticate(card.authenticate, off_session=off_session, saved=saved):
        return AUTHENTICATION_REQUIRED if off_session else "authenticate"
    return card.decline or "approve"


def _must_authenticate(when: Authenticate, *, off_session: bool, saved: bool) -> bool:
    if when == "unless_saved":
        return not (saved and off_session)
    return when == "always" or (when == "on_session" and not off_session)


def on_setup(card: TestCard, *, authenticated: bool) -> Verdict:
    """What saving a card meets."""
    if card.declines_saving and card.decline:
        return card.decline
    needs = card.authenticate in ("always", "unless_saved")
    return "authenticate" if needs and not authenticated else "approve"
