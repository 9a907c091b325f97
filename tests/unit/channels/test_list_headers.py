"""How a mail to many says how to leave its list: on the wire, as mailbox providers want it."""

import asyncio
import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiosmtpd.smtp import SMTP

from caravan.channels.email import EmailChannel
from caravan.channels.email_step import Email
from caravan.channels.list_headers import list_headers, list_label
from caravan.channels.registry import STEP_TYPES
from caravan.delivery.cohort_delivery import view
from caravan.delivery.result import Result
from caravan.journeys.definition import read_journey
from caravan.store.cohorts import Cohort

AT = datetime(2026, 11, 1, tzinfo=UTC)
COHORT = cast(Cohort, SimpleNamespace(customer=1001, batch="b", step="s", journey=1, visit=1))


class Handler:
    """Keeps what came, octet by octet."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.received.append(envelope.original_content)
        return "250 fine"


def _step(**values: object) -> Email:
    email = {"from": "a@example.com", "to": "b@example.com", "subject": "x", "text": "y", **values}
    [step] = read_journey(json.dumps({"journey": 1, "steps": [{"id": "m", "email": email}]}), STEP_TYPES).steps
    assert isinstance(step, Email)
    return step


def _written(step: Email, url: str | None) -> bytes:
    person = {"id": "1", "line": 1, "properties": "{}"}
    return step.write(view(person, AT, None, url), "key", COHORT, AT).message.content


@pytest.mark.parametrize("length", [40, 76, 120, 300, 900])
async def test_a_url_of_any_length_goes_over_the_wire_on_one_line_as_it_is(length: int) -> None:
    url = "https://mail.example.com/".ljust(length, "x") + "/u/1hll3tp27vdp735id00101glfsrjkic02q"
    handler = Handler()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(handler), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        person = {"id": "1", "line": 1, "properties": "{}"}
        envelope = _step(topic="Spring offers").write(view(person, AT, None, url), "key", COHORT, AT)
        async with EmailChannel(f"smtp://127.0.0.1:{port}?tls=none") as channel:
            assert (await channel.send(envelope.message)).result is Result.SENT
    (content,) = handler.received
    head = content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head.count(f"List-Unsubscribe: <{url}>".encode()) == 1
    assert head.count(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click") == 1
    assert head.count(b"List-Id: <spring-offers.c1001.example.com>") == 1
    assert b"=?" not in content


@pytest.mark.parametrize(
    "url", ["https://x.example/ä", "https://x.example/\r\nBcc: evil@x.example", "https://x/>", " "]
)
def test_a_url_that_can_not_stand_in_a_header_makes_none(url: str) -> None:
    assert b"List-Unsubscribe" not in _written(_step(), url)


def test_no_header_is_longer_than_a_line_may_be() -> None:
    headers = list_headers("https://x.example/" + "x" * 1_000, None, 1, "example.com")
    assert headers == b"List-Id: <mail.c1.example.com>\r\n"


def test_a_transactional_mail_belongs_to_no_list() -> None:
    assert b"List-" not in _written(_step(transactional="true", topic="News"), "https://x.example/u/k")


@pytest.mark.parametrize("topic", ["Spring offers", "News", "Erbjudanden i vår", "ニュース", "a--b", "x" * 64, "A & B"])
def test_a_lists_name_has_only_what_a_domain_may_have_and_differs_by_topic(topic: str) -> None:
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", list_label(topic))
    assert list_label(topic) != list_label(topic + "!")


def test_topic_and_transactional_may_stand_beside_the_steps_word_or_below_it() -> None:
    email = {"from": "a@example.com", "to": "b@example.com", "subject": "x", "text": "y"}
    beside = {"id": "m", "email": email, "topic": "News", "transactional": "true"}
    [step] = read_journey(json.dumps({"journey": 1, "steps": [beside]}), STEP_TYPES).steps
    assert isinstance(step, Email)
    assert (step.topic, step.transactional) == ("News", True)
    assert (_step(topic=" News ").topic, _step().transactional) == ("News", False)


@pytest.mark.parametrize("topic", ["{{ topic }}", "x" * 65, "a\x07b"])
def test_a_topic_is_one_short_line_that_is_the_same_for_everyone(topic: str) -> None:
    from caravan.errors import InvalidDefinition

    with pytest.raises(InvalidDefinition, match="a topic is one line"):
        _step(topic=topic)
