"""Which gateway the settings name."""

from pathlib import Path
from typing import Final

from caravan.channels.sms.described import Described
from caravan.channels.sms.gateway import WHOM, Gateway, SmsChannel, Tell
from caravan.channels.sms.gateway_file import read_gateway_file
from caravan.channels.sms.sandbox import SmsSandbox
from caravan.channels.sms.text import Text
from caravan.channels.sms.twilio import Twilio
from caravan.channels.watched import WatchedChannel
from caravan.delivery.channel import Channel
from caravan.errors import InvalidSetting
from caravan.settings import SMS_AWAY, Settings
from caravan.store.sandbox import SandboxStore

REPORTS: Final = "/returns/sms/reports/"  # the path of the calls that report what became of a message


def gateway_of(settings: Settings) -> Gateway | None:
    """The gateway of CARAVAN_SMS_URL; None where none is set. Raises `InvalidSetting`, which tells no secret."""
    url = settings.sms_url
    if url is None:
        return None
    reports_url = None if settings.links_url is None else settings.links_url.rstrip("/") + REPORTS
    if url.startswith("twilio://"):
        return Twilio.of(url, reports_url)
    if url.startswith("file:"):
        path = url.removeprefix("file:").removeprefix("//")
        return Described.of(read_gateway_file(Path(path).expanduser()), reports_url)
    raise InvalidSetting("CARAVAN_SMS_URL must begin with twilio:// or file:, see docs/sms.md.")


def open_channel(settings: Settings) -> Channel[Text]:
    """The channel of that gateway, or the sandbox; not open yet. Raises `InvalidSetting`."""
    gateway = gateway_of(settings)
    if gateway is None:
        assert settings.database_url is not None
        return SmsSandbox(SandboxStore(settings.database_url, "sms", settings.sandbox_messages))
    return WatchedChannel(sms_channel(gateway, settings), WHOM, settings.folder / SMS_AWAY)


def sms_channel(gateway: Gateway, settings: Settings, tell: Tell | None = None) -> SmsChannel:
    """The channel of a gateway, not open yet; `tell` hears what goes over the wire, without secrets."""
    return SmsChannel(gateway, connections=settings.sms_connections, timeout=settings.sms_timeout, tell=tell)
