"""The webhook step's fields."""

from typing import Any

import pytest
from pydantic import ValidationError

from caravan.channels.webhook_step import Method, Webhook

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
