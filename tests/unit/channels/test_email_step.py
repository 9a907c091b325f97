"""The email step's fields."""

from typing import Any

import pytest
from pydantic import ValidationError

from caravan.channels.email_step import Email
from caravan.journeys.fields import OnUnknown

GOOD = {"id": "e", "from": "Shop <shop@example.com>", "to": "{{ mail }}", "subject": "Hi {{ name }}", "text": "x"}


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
        {"html": "{% nope %}"}, {"reply_to": "x"}, {"on_unknown": "maybe"}, {"headers": {}}, {"cc": "a@b.se"},
        {"id": "a b"},
    ],
)  # fmt: skip
def test_a_field_that_can_not_be_used_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Email.model_validate(GOOD | changed)
