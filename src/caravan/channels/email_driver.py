"""What sends a worker's mails: the relays or the sandbox, and what stands before each of them."""

from caravan.channels.dkim import SigningChannel, read_keys
from caravan.channels.domain.lookups import nameserver_of
from caravan.channels.email import EmailChannel, Told
from caravan.channels.mail import Mail
from caravan.channels.mail_sandbox import MailSandbox
from caravan.channels.mx import Directory
from caravan.channels.providers import read_providers
from caravan.channels.relays import DEFAULT, Relays
from caravan.channels.replies import read_rules
from caravan.channels.return_path import ReturnPathChannel, provider_headers
from caravan.channels.watched import WatchedChannel
from caravan.delivery.channel import Channel
from caravan.settings import RELAY_AWAY, ChannelSettings, Settings
from caravan.store.sandbox import SandboxStore


def driver(own: ChannelSettings, settings: Settings) -> Relays:
    """The relays, or the sandbox where none is set; in all, mails are signed if there are keys. Raises
    `InvalidSetting`."""
    keys = None if settings.dkim_keys is None else read_keys(settings.dkim_keys)
    nameserver = None if settings.nameserver is None else nameserver_of(settings.nameserver)
    directory, rules = Directory(read_providers(settings.providers), nameserver), read_rules(settings.replies)
    headers = provider_headers(settings)

    def wrapped(channel: Channel[Mail]) -> Channel[Mail]:
        if headers or settings.bounce_domain is not None:
            channel = ReturnPathChannel(channel, settings.bounce_domain, headers)
        return channel if keys is None else SigningChannel(channel, keys)

    def relay(url: str, name: str) -> EmailChannel:
        told = Told(name, directory, rules, max(1, settings.workers))
        called = "CARAVAN_SMTP_URL" if name == DEFAULT else f"The URL of relay {name}"
        connections, timeout = settings.smtp_connections, settings.smtp_timeout
        return EmailChannel(url, connections=connections, timeout=timeout, told=told, name=called)

    if settings.smtp_url is None:
        assert settings.database_url is not None
        sandbox = MailSandbox(SandboxStore(settings.database_url, "email", settings.sandbox_messages))
        return Relays(sandbox, relay, wrapped, directory, is_sandbox=True)
    watched = WatchedChannel(relay(settings.smtp_url, DEFAULT), "The mail relay", settings.folder / RELAY_AWAY)
    return Relays(watched, relay, wrapped, directory, is_sandbox=False)
