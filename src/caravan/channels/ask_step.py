"""Ask: one HTTP request for each contact, who stands until it is accepted or rejected, or the time is over."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final

import duckdb
from pydantic import Field

from caravan.channels.call_step import CallStep
from caravan.channels.webhook import Call
from caravan.channels.webhook_body import ACCEPT_URL, REJECT_URL, Body, JsonBody, ToldAndAsked
from caravan.delivery.answers import ANSWER, Answer, answer_url
from caravan.delivery.envelope import Envelope
from caravan.delivery.key import KeyWriter
from caravan.delivery.message_step import Writer
from caravan.delivery.tools import DeliveryTools
from caravan.errors import InvalidSetting
from caravan.events.happening import Happening
from caravan.journeys.durations import read_duration
from caravan.journeys.placeholders import ContactView
from caravan.steps.move import Move, Passage, Tools
from caravan.steps.properties import merged
from caravan.steps.sort import END
from caravan.steps.step import Stay
from caravan.steps.wait_fields import Timeout
from caravan.store.cohorts import Cohort
from caravan.store.journal import Record
from caravan.store.ledger import Outcome

_UNKNOWN: Final = "(known once it is sent)"


class Ask(CallStep):
    """`ask: {url: …, timeout: 2 days, accepted: …, rejected: …, else: …}`.

    Without `body` the contact is told as by a webhook, with the journey's version and the addresses `accept` and
    `reject`.
    """

    kind: ClassVar[str] = "ask"
    leads: ClassVar[tuple[str, ...]] = ("accepted", "rejected", "else")

    timeout: Timeout
    accepted: str | None = None
    rejected: str | None = None
    otherwise: str | None = Field(None, alias="else")

    @property
    def summary(self) -> str:
        return f"{self.url}, {self.timeout} at most"

    @property
    def channel_name(self) -> str:
        return "webhook"

    @property
    def listens(self) -> frozenset[str]:
        return frozenset(each.event for each in Answer)

    @property
    def takes_time(self) -> bool:
        return True

    @property
    def waits(self) -> bool:
        return False  # as contacts come they are asked, and nothing goes before that

    @property
    def makes(self) -> frozenset[str]:
        return frozenset({ACCEPT_URL, REJECT_URL})

    def targets(self) -> list[tuple[str, str]]:
        ways = [("ask.accepted", self.accepted), ("ask.rejected", self.rejected), ("ask.else", self.otherwise)]
        return [(where, to) for where, to in ways if to is not None] + super().targets()

    def captions(self) -> list[str]:
        own = [("accepted", self.accepted), ("rejected", self.rejected), ("time over", self.otherwise)]
        return [word for word, to in own if to is not None] + ["else" for _ in super().targets()]

    @property
    def may_end(self) -> bool:
        return None in (self._to(Answer.ACCEPT), self._to(Answer.REJECT), self.unreached_to)

    @property
    def unreached_to(self) -> str | None:
        return self.otherwise or self.next

    def _to(self, answer: Answer) -> str | None:
        return (self.accepted if answer is Answer.ACCEPT else self.rejected) or self.next

    def check(self) -> Iterator[tuple[str, str]]:
        yield from super().check()
        if self.next is not None and self.accepted and self.rejected and self.otherwise:
            yield "next", "all ways have a step of their own, so next is never used"

    def told(self) -> Body:
        return ToldAndAsked() if self.body is None else JsonBody.of(self.body)

    def write(self, contact: ContactView, key: str, cohort: Cohort, at: datetime) -> Envelope[Call]:
        return self._written(contact, key, cohort, at, {ACCEPT_URL: _UNKNOWN, REJECT_URL: _UNKNOWN})

    def writer(self, cohort: Cohort, tools: DeliveryTools, keys: KeyWriter, at: datetime) -> Writer:
        public_url = tools.public_url
        if public_url is None:
            raise InvalidSetting(
                f"The step {self.id} gives addresses at which contacts are accepted or rejected: set "
                "CARAVAN_PUBLIC_URL to where Caravan is reached, start the workers again, and retry the batch."
            )

        def write(contact: ContactView, key: str) -> Envelope[Call]:
            accept, reject = (answer_url(public_url, key, each, keys.secret) for each in Answer)
            return self._written(contact, key, cohort, at, {ACCEPT_URL: accept, REJECT_URL: reject})

        return write

    def _written(
        self, contact: ContactView, key: str, cohort: Cohort, at: datetime, urls: dict[str, str]
    ) -> Envelope[Call]:
        return super().write(replace(contact, properties={**contact.properties, **urls}), key, cohort, at)

    def counts_from(self, arrived: datetime, before: datetime | None, entered: datetime | None) -> datetime:
        """An answer may come while others are still being asked about, or after a call whose reply was lost; it names
        the stay that it is for."""
        return entered or before or arrived

    @property
    def answers_until(self) -> Callable[[datetime], datetime]:
        return lambda asked: read_duration(self.timeout).after(asked)

    async def take(self, cohort: Cohort, tools: Tools) -> Move | None:
        """Ask for those who come; for those who stand, the time is over."""
        if not cohort.asked:
            return await super().take(cohort, tools)
        part, late = cohort.part, self.unreached_to
        outcome = Outcome.UNKNOWN if cohort.doubt else Outcome.PASSED
        detail = f"time over: {late or END}"
        if cohort.doubt:
            detail += "; whether the question arrived is not known"
        return Move([Passage(part, late)], {outcome: part.size}, [Record(self.id, part.file, outcome, detail)])

    def led_on(
        self, happenings: Sequence[Happening], stays: Sequence[Stay], duck: duckdb.DuckDBPyConnection, now: datetime
    ) -> list[int | None]:
        ways = {each.event: index for index, each in enumerate(Answer)}
        return [
            ways.get(happening.name) if happening.origin == stay.delivery else None
            for happening, stay in zip(happenings, stays, strict=True)
        ]

    def way_of(self, index: int) -> tuple[str, str | None]:
        answer = list(Answer)[index]
        return answer.event, self._to(answer)

    def learnt(self, index: int, happening: Happening, properties: str) -> str:
        answer: Any = happening.properties.get(ANSWER)
        return merged(properties, answer) if isinstance(answer, dict) and answer else properties
