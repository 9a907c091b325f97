"""Webhook: one HTTP request for each contact."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from caravan.channels.ask_step import Ask
from caravan.channels.call_step import CallStep
from caravan.channels.webhook import Call, WebhookChannel
from caravan.channels.webhook_body import Body, FormBody, JsonBody, Told
from caravan.channels.webhook_save import Saver, check_name, check_path
from caravan.channels.webhook_signing import SigningSecrets
from caravan.delivery.channel_type import ChannelType
from caravan.delivery.cohort_delivery import Together
from caravan.delivery.envelope import Envelope
from caravan.journeys.fields import TemplateText
from caravan.settings import ChannelSettings, Settings


class Webhook(CallStep):
    """Besides what all calls have, `form`, whose texts are templates, in place of the body.

    Without `body` and `form` the contact is told with its id, journey, batch, step and properties. `save` are JSONPaths
    into the answer, each under the name of the property that it becomes.
    """

    kind: ClassVar[str] = "webhook"
    keeps_letters: ClassVar[bool] = True

    form: dict[str, TemplateText | list[TemplateText]] | None = None
    save: dict[Annotated[str, AfterValidator(check_name)], Annotated[str, AfterValidator(check_path)]] = Field(
        default_factory=dict
    )
    batch: int = Field(1, ge=1, le=100)

    def check(self) -> Iterator[tuple[str, str]]:
        yield from super().check()
        if self.form is not None and self.body is not None:
            yield "webhook.form", "a webhook has a body or a form, not both"
        if self.batch > 1 and self.form is not None:
            yield "webhook.batch", "a form is about one contact; several go out in a body"
        if self.batch > 1 and self.save:
            yield "webhook.batch", "an answer is saved of one contact; it is not known whom of several it is about"

    @property
    def together(self) -> Together[Call] | None:
        return None if self.batch == 1 else Together(self.batch, _alike, _joined)

    @property
    def makes(self) -> frozenset[str]:
        return frozenset(self.save)

    @property
    def saver(self) -> Saver | None:
        return Saver(self.save) if self.save else None

    def told(self) -> Body:
        if self.form is not None:
            return FormBody.of(self.form)
        return Told(keyed=self.batch > 1) if self.body is None else JsonBody.of(self.body)


def _alike(envelope: Envelope[Call]) -> Hashable:
    """What calls have in common that can be made as one."""
    return envelope.recipient, tuple(envelope.message.headers.items())


def _joined(envelopes: Sequence[Envelope[Call]]) -> Envelope[Call]:
    """One call for all: its body is the list of theirs, and its key names just this set of deliveries."""
    first, calls = envelopes[0], [each.message for each in envelopes]
    key = sha256(" ".join(each.key for each in calls).encode("ascii")).hexdigest()[:40]
    body = b"[" + b", ".join(each.body for each in calls) + b"]"
    return replace(first, key=key, message=replace(first.message, key=key, body=body))


def _driver(own: ChannelSettings, settings: Settings) -> WebhookChannel:
    return WebhookChannel(
        connections=settings.webhook_connections,
        timeout=settings.webhook_timeout,
        allow_private=settings.download_allow_private,
        secrets=SigningSecrets(settings.webhook_secrets),
    )


WEBHOOK = ChannelType(step=Webhook, settings=ChannelSettings, driver=_driver, further=(Ask,))
