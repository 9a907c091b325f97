"""The settings of the channels that come with Caravan. Apart from their drivers, so that a process that only asks for
them need not load those."""

from pydantic import Field

from caravan.settings import ChannelSettings


class EmailSettings(ChannelSettings):
    """The relay for mail."""

    smtp_url: str = Field(
        "smtp://127.0.0.1:25",
        description="The mail relay: smtp://[user:password@]host[:port][?tls=none|starttls|required], or smtps://.",
    )
    smtp_connections: int = Field(20, ge=1, description="Connections to the mail relay that a worker keeps.")
    smtp_timeout: float = Field(60, gt=0, description="Seconds to wait for the relay's answer to one command.")


class WebhookSettings(ChannelSettings):
    """Calls to the customers' own systems."""

    webhook_connections: int = Field(50, ge=1, description="Webhook calls that a worker has under way at once.")
    webhook_timeout: float = Field(30, gt=0, description="Seconds that one webhook call may take.")
