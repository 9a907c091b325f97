"""The email step's fields."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from caravan.channels.email_step import Email
from caravan.errors import RenderFailed
from caravan.journeys.fields import OnUnknown
from caravan.journeys.placeholders import ContactView

GOOD = {"id": "e", "from": "Shop <shop@example.com>", "to": "{{ mail }}", "subject": "Hi {{ name }}", "text": "x"}

COHORT: Any = SimpleNamespace(customer=1, batch="b_1", journey=4711, step="e")


def test_an_email_has_its_fields() -> None:
    step = Email.model_validate(GOOD | {"on_unknown": "resend", "reply_to": "help@example.com"})
    assert (step.sender, step.to, step.on_unknown) == (GOOD["from"], "{{ mail }}", OnUnknown.RESEND)
    assert not list(step.check())
    assert Email.model_validate(GOOD).on_unknown is OnUnknown.SKIP
    assert Email.model_validate(GOOD).as_dict() == {"id": "e", "email": {k: v for k, v in GOOD.items() if k != "id"}}


def test_an_email_has_text_or_html() -> None:
    without = {key: value for key, value in GOOD.items() if key != "text"}
    assert [where for where, _ in Email.model_validate(without).check()] == ["email"]
    assert not list(Email.model_validate(without | {"html": "<p>"}).check())


@pytest.mark.parametrize(
    "address", ["a@b.se", "Å <å@exämple.se>", "<a@b.se>", "{{ x }}", "{{ n }} <a@b.se>", "a@example"]
)
def test_an_address_may_be_fixed_or_a_template(address: str) -> None:
    assert Email.model_validate(GOOD | {"from": address}).sender == address


@pytest.mark.parametrize(
    "changed",
    [
        {"from": "shop"}, {"from": ""}, {"from": "a@b.se, c@d.se"}, {"from": "a@b.se\r\nBcc: x@y.se"}, {"to": "@"},
        {"to": "{{ x"}, {"to": None}, {"subject": "a\nb"}, {"subject": " "}, {"subject": "{% if %}"}, {"text": "{{"},
        {"html": "{% nope %}"}, {"reply_to": "x"}, {"on_unknown": "maybe"}, {"headers": []},
        {"headers": {"X-A": "a\nb"}}, {"cc": "a@b.se"},
        {"id": "a b"},
    ],
)  # fmt: skip
def test_a_field_that_can_not_be_used_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Email.model_validate(GOOD | changed)


@pytest.mark.parametrize(
    "name",
    ["From", "bcc", "Content-Type", "DKIM-Signature", "List-Unsubscribe", "List-ID", "ARC-Seal", "Received", "a b",
     "a:", "", "ä", "X\r\nBcc", "Resent-To"],
)  # fmt: skip
def test_headers_that_others_set_are_not_to_be_set(name: str) -> None:
    step = Email.model_validate(GOOD | {"headers": {name: "x"}})
    assert [where for where, _ in step.check()] == [f"email.headers.{name}"]


@given(value=st.text() | st.text(st.sampled_from(" a\r\n:\0=?ä\u2028"), max_size=200))
def test_whatever_a_contact_has_a_header_of_ones_own_is_one_header(value: str) -> None:
    step = Email.model_validate(
        GOOD | {"headers": {"Feedback-ID": "spring:{{ v }}:7:caravan", "X-Empty": "{{ none }}"}}
    )
    contact = ContactView("1", {"mail": "a@b.se", "v": value})
    try:
        mail = step.write(contact, "k" * 40, COHORT, datetime.now(UTC)).message
    except RenderFailed:
        assert len(value) > 900
        return
    message = message_from_bytes(mail.content, policy=policy.default)
    assert message.defects == []
    assert sorted(map(str.lower, message.keys())) == [
        "content-transfer-encoding", "content-type", "date", "feedback-id", "from", "list-id", "message-id",
        "mime-version", "subject", "to",
    ]  # fmt: skip
    assert max(map(len, mail.content.split(b"\r\n"))) <= 998


def test_a_header_of_ones_own_keeps_every_octet_of_a_link() -> None:
    link = "https://example.com/?a=%2F&b=" + "x" * 500
    step = Email.model_validate(GOOD | {"headers": {"X-Link": link}})
    mail = step.write(ContactView("1", {"mail": "a@b.se"}), "k" * 40, COHORT, datetime.now(UTC)).message
    assert f"X-Link: {link}\r\n".encode() in mail.content
