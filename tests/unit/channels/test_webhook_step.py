"""The webhook step's fields."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest
from pydantic import ValidationError

from caravan.channels.call_step import Method
from caravan.channels.webhook_step import Webhook
from caravan.errors import RenderFailed
from caravan.journeys.placeholders import ContactView, compile_template

GOOD = {"id": "w", "url": "https://example.com/{{ id }}"}


def test_a_webhook_has_its_fields() -> None:
    step = Webhook.model_validate(
        GOOD | {"method": "PUT", "headers": {"X-A": "{{ a }}"}, "body": {"a": [1, "{{ b }}"]}}
    )
    assert (step.method, step.headers, step.body) == (Method.PUT, {"X-A": "{{ a }}"}, {"a": [1, "{{ b }}"]})
    assert not list(step.check())
    assert (Webhook.model_validate(GOOD).method, Webhook.model_validate(GOOD).body) == (Method.POST, None)


@pytest.mark.parametrize(
    "url", ["http://x", "HTTPS://X.example:8080/a?b={{ c }}", "{{ hook }}", "https://{{ host }}/a"]
)
def test_an_address_begins_with_http_or_a_placeholder(url: str) -> None:
    assert Webhook.model_validate(GOOD | {"url": url}).url == url


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "/hooks", "example.com", "https://", "https://a b", "javascript:x", "http://[", "x{{ url }}",
            "https://x\n"]
)  # fmt: skip
def test_another_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Webhook.model_validate(GOOD | {"url": url})


@pytest.mark.parametrize("changed", [{"method": "GET"}, {"headers": []}, {"headers": {"a": "b\nc"}}, {"timeout": "3"}])
def test_a_field_that_can_not_be_used_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Webhook.model_validate(GOOD | changed)


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "IDEMPOTENCY-KEY", "a b", "a:", "", "å"]
)
def test_some_headers_are_not_to_be_set(name: str) -> None:
    step = Webhook.model_validate(GOOD | {"headers": {name: "x"}})
    assert [where for where, _ in step.check()] == [f"webhook.headers.{name}"]


def test_a_header_stands_there_once() -> None:
    step = Webhook.model_validate(GOOD | {"headers": {"X-A": "x", "x-a": "y"}})
    assert [where for where, _ in step.check()] == ["webhook.headers.x-a"]


def test_every_text_in_the_body_is_checked() -> None:
    step = Webhook.model_validate(GOOD | {"body": {"a": [1, {"b": "{{"}], "c": "{% x %}"}})
    assert [where for where, _ in step.check()] == ["webhook.body.a[1].b", "webhook.body.c"]


def sent(**fields: Any) -> Any:
    """The call of a step with these fields, for a contact with values of each type."""
    properties = {
        "n": 7, "price": 19.90, "vip": True, "none": None, "text": "12", "tags": ["a", 2], "home": {"city": "Åbo"},
        "big": 2**70, "odd": "a&b=c \n+ü",
    }  # fmt: skip
    contact = ContactView("c1", properties)
    cohort = cast(Any, SimpleNamespace(customer=1, journey=2, batch="b", step="w"))
    return Webhook.model_validate(GOOD | fields).write(contact, "k1", cohort, datetime.now(UTC)).message


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ n }}", 7), ("{{n}}", 7), ("{{ contact.price }}", 19.9), ("{{ vip }}", True), ("{{ none }}", None),
        ("{{ missing }}", None), ("{{ text }}", "12"), ("{{ tags }}", ["a", 2]), ("{{ home }}", {"city": "Åbo"}),
        ("{{ home.city }}", "Åbo"), ("{{ big }}", 2**70), ("{{ n | plus: 1 }}", 8), ("{{ price | times: 2 }}", 39.8),
        ("{{ text | plus: 1 }}", 13), ("{{ missing | default: 'x' }}", "x"), ("{{ id }}", "c1"),
        (" {{ n }}", " 7"), ("{{ n }}{{ n }}", "77"), ("{{ n | append: '' }}", "7"), ("{{ vip }}!", "true!"),
        ("{% if vip %}{{ n }}{% endif %}", "7"), ("{{ tags | size }}", 2), ("{{ 1.50 }}", 1.5), ("7", "7"),
    ],
)  # fmt: skip
def test_a_value_in_the_body_that_is_one_placeholder_alone_keeps_its_type(template: str, value: Any) -> None:
    found = json.loads(sent(body={"v": template, "deep": [{"v": template}]}).body)
    assert found == {"v": value, "deep": [{"v": value}]}
    assert type(found["v"]) is type(value)


def test_a_list_that_is_made_in_the_template_is_bounded_like_a_text() -> None:
    template = "{{ " + " | ".join(["tags", *["concat: tags"] * 3]) + " }}"
    assert json.loads(sent(body=template).body) == ["a", 2] * 4
    long = ContactView("c", {"long": ["x" * 300_000] * 4})
    with pytest.raises(RenderFailed):
        compile_template("{{ long }}").value(long)


def test_a_form_goes_out_as_browsers_send_it() -> None:
    call = sent(form={"who": "{{ odd }}", "tag[]": ["{{ n }}", "{{ vip }}", "x"], "none": "{{ missing }}"})
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(call.body.decode("ascii"), keep_blank_values=True) == [
        ("who", "a&b=c \n+ü"), ("tag[]", "7"), ("tag[]", "true"), ("tag[]", "x"), ("none", ""),
    ]  # fmt: skip


def test_a_webhook_has_a_body_or_a_form() -> None:
    step = Webhook.model_validate(GOOD | {"form": {"a": "1"}, "body": {}})
    assert [where for where, _ in step.check()] == ["webhook.form"]
