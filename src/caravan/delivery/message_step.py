"""What all steps that send a message have in common: email, webhook, and each further channel."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from caravan.delivery.cohort_delivery import CohortDelivery, ContactOutcome, Together, view
from caravan.delivery.decisions import Send
from caravan.delivery.deliver import deliver
from caravan.delivery.envelope import Envelope
from caravan.delivery.expiry import Expiry, expiry_of
from caravan.delivery.key import KeyWriter
from caravan.delivery.outcomes import outcome_of_decision
from caravan.delivery.quiet_hours import QuietHours
from caravan.delivery.send_hours import SendWindow
from caravan.delivery.signing import key_writer
from caravan.delivery.tools import DeliveryTools
from caravan.delivery.way import Way
from caravan.errors import InvalidInput, InvalidSetting, NoRecipient
from caravan.journeys.fields import OnUnknown, Topic
from caravan.journeys.placeholders import ContactView
from caravan.journeys.step_texts import links_to_unsubscribe
from caravan.steps.move import Move, Tools
from caravan.steps.step import CohortStep
from caravan.store.cohorts import Cohort
from caravan.store.files import Files

#: Writes one contact's message, under its key. Called in a thread. Raises `RenderFailed`.
Writer = Callable[[ContactView, str], Envelope[Any]]
#: The same, or what becomes of a contact that has no message now.
Prepare = Callable[[ContactView, str], Envelope[Any] | ContactOutcome]


@dataclass(frozen=True, slots=True)
class MessageSize:
    """What a message takes on a channel that counts in segments."""

    segments: int
    encoding: str
    because: str | None = None  # what it has that a shorter encoding can't write


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message as its reader would see it; None for what its channel does not have."""

    to: str
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    size: MessageSize | None = None


def unsubscribe_url(public_url: str | None, key: str) -> str | None:
    """Where the recipient of a delivery can unsubscribe."""
    return None if public_url is None else f"{public_url.rstrip('/')}/u/{key}"


class MessageStep(CohortStep):
    """A step that gives each contact a message over the channel that bears the step's word."""

    sends: ClassVar[bool] = True
    reaches_people: ClassVar[bool] = True  # whose patience a cap guards

    on_unknown: OnUnknown = OnUnknown.SKIP
    topic: Topic | None = None
    transactional: bool = False
    send_window: SendWindow | None = None
    expires: Expiry | None = None

    @abstractmethod
    def write(self, contact: ContactView, key: str, cohort: Cohort, at: datetime) -> Envelope[Any]:
        """One contact's message, written at `at`. Called in a thread. Raises `RenderFailed`, which is final for the
        contact."""

    def writer(self, cohort: Cohort, tools: DeliveryTools, keys: KeyWriter, at: datetime) -> Writer:
        """What writes the messages of a cohort as they go out, from a contact and its key: as `write` does, and with
        what tells of an answer."""
        return lambda contact, key: self.write(contact, key, cohort, at)

    def encloser(self, files: Files, customer: int) -> Callable[[Envelope[Any]], Envelope[Any]]:
        """What adds to a message the files that all messages of the step bring along. Blocks."""
        return lambda envelope: envelope

    def write_test(self, contact: ContactView, to: str, key: str, cohort: Cohort, at: datetime) -> Envelope[Any]:
        """The message as a test: what the contact would get, but to `to`, and marked as a test. Raises `InvalidInput`
        where the channel has no message that one can give oneself, and `RenderFailed`."""
        raise InvalidInput(f"The {self.kind} step {self.id} can't be tried on oneself; email and SMS steps can.")

    def check_recipient(self, envelope: Envelope[Any]) -> None:
        """Raise `NoRecipient` where its channel could not use the recipient of a message that `write` wrote."""
        if not envelope.recipient.strip():
            raise NoRecipient("The message has no recipient.")

    def show(self, envelope: Envelope[Any]) -> ShownMessage:
        """A message that `write` wrote as its reader would see it; for a channel that has no more to show, the
        recipient."""
        return ShownMessage(envelope.recipient)

    def size(self, envelope: Envelope[Any]) -> MessageSize | None:
        """What a message that `write` wrote takes; None where its channel counts nothing."""
        return None

    @property
    def channel_name(self) -> str:
        """The channel by which its messages go out."""
        return self.kind

    @property
    def answers_until(self) -> Callable[[datetime], datetime] | None:
        """Until when contacts stand here for an answer that were sent to at a moment; None where they go on at once."""
        return None

    @property
    def one_place(self) -> bool:
        """Whether all messages go to the same relay or host, so that one can be away for all of them."""
        return True

    def _check_links(self, public_url: str | None) -> None:
        """Raise `InvalidSetting` where a link that the messages need leads nowhere."""
        if public_url is None and links_to_unsubscribe(self):
            raise InvalidSetting(
                f"The messages of step {self.id} link to the page to unsubscribe at: set CARAVAN_PUBLIC_URL to where "
                "recipients reach Caravan, start the workers again, and retry the batch."
            )

    async def way(self, cohort: Cohort, tools: DeliveryTools) -> Way:
        """By what its messages go out. Raises `InvalidSetting` where there is nothing by which they can."""
        return Way(tools.channels[self.channel_name])

    @property
    def together(self) -> Together[Any] | None:
        """How messages of several contacts go out as one; None where each goes by itself."""
        return None

    def _in_time(self, cohort: Cohort, tools: DeliveryTools, write: Writer, expires: datetime | None) -> Prepare:
        """What writes messages within the hours of the step, each with what its gate has to know of them. Whoever may
        not be sent to now has no message written in vain."""
        window, quiet = self.send_window, QuietHours()
        if window is None:
            return write

        def prepare(contact: ContactView, key: str) -> Envelope[Any] | ContactOutcome:
            zone, now = window.zone_of(contact), tools.clock.now()
            decision = quiet.decision(window.hours, zone, key, cohort.id, now)
            if not isinstance(decision, Send):
                return outcome_of_decision(decision, now, expires)
            return replace(write(contact, key), hours=window.hours, zone=zone)

        return prepare

    async def take(self, cohort: Cohort, tools: Tools) -> Move | None:
        """Send each contact its message."""
        assert isinstance(tools, DeliveryTools), "a worker that runs message steps has channels"
        self._check_links(tools.public_url)
        async with tools.pool.connection() as connection:
            keys = await key_writer(connection, cohort)
        at = tools.clock.now()
        write = self.writer(cohort, tools, keys, at)
        enclose = await asyncio.to_thread(self.encloser, tools.files, cohort.customer)

        expires = expiry_of(cohort, self.expires)
        in_time = self._in_time(cohort, tools, lambda contact, key: enclose(write(contact, key)), expires)

        def prepare(person: dict[str, Any]) -> Envelope[Any] | ContactOutcome:
            key = keys.key(person["line"])
            return in_time(view(person, at, None, unsubscribe_url(tools.public_url, key)), key)

        way = await self.way(cohort, tools)
        return await deliver(
            CohortDelivery(
                cohort=cohort,
                tools=tools,
                channel=way.channel,
                relay=way.relay,
                providers_of=way.providers_of,
                prepare=prepare,
                on_unknown=self.on_unknown,
                to=None if cohort.replay else self.unreached_to,
                expires=expires,
                answers_until=self.answers_until,
                keeps_letters=self.keeps_letters,
                together=self.together,
                name=self.channel_name,
                one_place=self.one_place,
            )
        )
