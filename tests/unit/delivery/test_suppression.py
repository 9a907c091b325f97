"""Which suppressions stop which message, and which addresses are the same."""

from datetime import UTC, datetime

import pytest

from caravan.delivery.decisions import SEND, Skip
from caravan.delivery.envelope import Envelope
from caravan.delivery.suppression import comparable, decision
from caravan.store.ledger import Outcome
from caravan.store.suppressions import Reason, Stop

AT = datetime(2026, 11, 1, tzinfo=UTC)


def _stop(reason: Reason = Reason.UNSUBSCRIBED, topic: str | None = None) -> Stop:
    return Stop(topic, reason, "page", AT)


def _mail(topic: str | None = None, *, transactional: bool = False) -> Envelope[None]:
    return Envelope("anna@example.com", "key", None, topic, transactional)


@pytest.mark.parametrize(
    ("stop", "mail", "stopped"),
    [
        (_stop(), _mail(), True),
        (_stop(), _mail("News"), True),
        (_stop(topic="News"), _mail("News"), True),
        (_stop(topic="News"), _mail("Offers"), False),
        (_stop(topic="News"), _mail(), False),
        (_stop(), _mail(transactional=True), False),
        (_stop(Reason.COMPLAINT), _mail(transactional=True), False),
        (_stop(Reason.HARD_BOUNCE), _mail(transactional=True), True),
        (_stop(Reason.HARD_BOUNCE), _mail("News"), True),
    ],
)
def test_a_suppression_stops_its_topic_or_all_and_a_transactional_message_by_a_bounce_alone(
    stop: Stop, mail: Envelope[None], stopped: bool
) -> None:
    found = decision(mail, [stop])
    assert isinstance(found, Skip) is stopped
    if isinstance(found, Skip):
        assert found.outcome is Outcome.SUPPRESSED
    else:
        assert found == SEND


def test_the_gravest_reason_is_told_with_its_topic_day_and_way() -> None:
    found = decision(_mail("News"), [_stop(Reason.MANUAL), _stop(topic="News"), _stop(Reason.IMPORT)])
    assert found == Skip(Outcome.SUPPRESSED, "unsubscribed from News on 2026-11-01 (page)")


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("Anna@Example.COM", "anna@example.com"),
        ("anna@bücher.de", "anna@xn--bcher-kva.de"),
        ("anna@BÜCHER.de", "anna@xn--bcher-kva.de"),
        ('"Anna B"@example.com', '"anna b"@example.com'),
        ("Åsa@example.com", "åsa@example.com"),
    ],
)
def test_mail_addresses_are_the_same_without_regard_to_case_and_spelling_of_the_domain(address: str, same: str) -> None:
    assert comparable("email", address) == same


@pytest.mark.parametrize("other", ["an.na@example.com", "anna+news@example.com", "anna@mail.example.com"])
def test_dots_plus_signs_and_subdomains_make_other_addresses(other: str) -> None:
    assert comparable("email", other) != "anna@example.com"


def test_other_channels_compare_what_stands_there() -> None:
    assert comparable("webhook", "https://Example.com/Hooks") == "https://Example.com/Hooks"
