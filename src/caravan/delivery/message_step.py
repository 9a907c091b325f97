"""What all steps that send a message have in common: email, webhook, and each further channel."""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from caravan.delivery.cohort_delivery import CohortDelivery, view
from caravan.delivery.deliver import deliver
from caravan.delivery.envelope import Envelope
from caravan.delivery.signing import key_writer
from caravan.delivery.tools import DeliveryTools
from caravan.errors import NoRecipient
from caravan.journeys.fields import OnUnknown
from caravan.journeys.placeholders import ContactView
from caravan.steps.move import Move, Tools
from caravan.steps.step import CohortStep
from caravan.store.cohorts import Cohort


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message as its reader would see it; None for what its channel does not have."""

    to: str
    subject: str | None = None
    text: str | None = None
    html: str | None = None


class MessageStep(CohortStep):
    """A step that gives each contact a message over the channel that bears the step's word."""

    sends: ClassVar[bool] = True

    on_unknown: OnUnknown = OnUnknown.SKIP

    @abstractmethod
    def write(self, contact: ContactView, key: str, cohort: Cohort, at: datetime) -> Envelope[Any]:
        """One contact's message, written at `at`. Called in a thread. Raises `RenderFailed`, which is final for the
        contact."""

    def check_recipient(self, envelope: Envelope[Any]) -> None:
        """Raise `NoRecipient` where its channel could not use the recipient of a message that `write` wrote."""
        if not envelope.recipient.strip():
            raise NoRecipient("The message has no recipient.")

    def show(self, envelope: Envelope[Any]) -> ShownMessage:
        """A message that `write` wrote as its reader would see it; for a channel that has no more to show, the
        recipient."""
        return ShownMessage(envelope.recipient)

    @property
    def one_place(self) -> bool:
        """Whether all messages go to the same relay or host, so that one can be away for all of them."""
        return True

    async def take(self, cohort: Cohort, tools: Tools) -> Move | None:
        """Send each contact its message."""
        assert isinstance(tools, DeliveryTools), "a worker that runs message steps has channels"
        async with tools.pool.connection() as connection:
            keys = await key_writer(connection, cohort)
        at = tools.clock.now()

        def prepare(person: dict[str, Any]) -> Envelope[Any]:
            return self.write(view(person, at), keys.key(person["line"]), cohort, at)

        return await deliver(
            CohortDelivery(
                cohort=cohort,
                tools=tools,
                channel=tools.channels[self.kind],
                prepare=prepare,
                on_unknown=self.on_unknown,
                to=self.next,
                name=self.kind,
                one_place=self.one_place,
            )
        )
