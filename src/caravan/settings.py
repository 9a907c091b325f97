"""The one table of settings: it feeds the environment (`CARAVAN_…`), the command line's help and docs/settings.md."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from caravan.errors import InvalidSetting

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
#: What an operator is told where mail goes into the sandbox.
SANDBOX_NOTICE = "No CARAVAN_SMTP_URL is set: mails are kept in the sandbox and go nowhere; see `caravan sandbox list`."
RELAY_AWAY = "relay.away"  # in the data folder, while the mail relay can't be reached
SMS_AWAY = "sms.away"  # the same for the SMS gateway
_PREFIX = "CARAVAN_"
#: What `caravan batch` reads, which is a client.
CLIENT_VARIABLES = ["CARAVAN_URL", "CARAVAN_CUSTOMER", "CARAVAN_TOKEN"]
OWN_URL = "CARAVAN_OWN_URL"  # where `up` listens itself, for links in messages while no PUBLIC_URL is set
_INTERNAL = ("CARAVAN_LEASH", OWN_URL)  # from a command to its children
#: Begins the names of variables with secrets of webhooks: then come the customer's number, `_` and the secret's name.
WEBHOOK_SECRET = "CARAVAN_WEBHOOK_SECRET_"
_EMAIL = re.compile(r"[^\s@\x00-\x20\x7f]+@[^\s@\x00-\x20\x7f]+")
_DOMAIN = re.compile(r"(?=.{1,180}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_LONGEST_EMAIL = 254  # RFC 5321 §4.5.3.1.3, without the angle brackets
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B", re.IGNORECASE)


class Uploads(StrEnum):
    """How clients upload files."""

    API = "api"
    DIRECT = "direct"


class LogFormat(StrEnum):
    """How lines of the log look."""

    TEXT = "text"
    JSON = "json"
    AUTO = "auto"

    def is_json(self, on_terminal: bool) -> bool:
        """Whether lines are JSON, where the log goes to a terminal or not."""
        return self is LogFormat.JSON or (self is LogFormat.AUTO and not on_terminal)


class Settings(BaseSettings):
    """What a Caravan process is told from outside. Each field is read from `CARAVAN_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    data: Path = Field(
        Path("~/.caravan"), description="The data folder: embedded PostgreSQL, files, uploads under way."
    )
    database_url: str | None = Field(None, description="A PostgreSQL (15 or newer) to use instead of the embedded one.")
    database_connections: int = Field(
        20,
        ge=1,
        description="Connections to PostgreSQL that one process keeps at most; the worker processes of one command "
        "share twice as many, and have one more for each of their queues.",
    )
    files_url: str | None = Field(
        None,
        description="Where files of contacts are kept: a folder or s3://bucket/prefix. Default: DATA/files.",
    )
    files_endpoint_url: str | None = Field(
        None, description="The address of an S3 store that is not AWS, like http://minio:9000."
    )
    files_public_endpoint_url: str | None = Field(
        None, description="The store's address as clients reach it, for UPLOADS=direct. Default: FILES_ENDPOINT_URL."
    )
    uploads: Uploads = Field(
        Uploads.API,
        description="api: clients PUT files to the API; direct: to the store itself, by its own pre-signed URLs.",
    )
    host: str = Field("127.0.0.1", description="The address that the API listens on.")
    port: int = Field(8080, ge=0, le=65535, description="The port that the API listens on; 0 takes a free one.")
    public_url: str | None = Field(
        None,
        description="Where clients and recipients reach Caravan, like https://caravan.example.com: upload URLs, and "
        "the links in messages by which recipients unsubscribe. Default: for uploads what the request itself used; "
        "for links where `up` listens.",
    )
    cors_origins: str | None = Field(
        None,
        description="Origins of web pages that may call the API, like https://app.example.com, by comma.",
    )
    operator_email: str = Field(
        "owner@localhost",
        description="The e-mail address that the operator of the installation signs in to the console with: the first "
        "user, which `up` makes where there is none.",
    )
    secret_key: str | None = Field(
        None,
        description="Signs upload URLs. Of several, with commas between, the first signs, and all are good for what "
        "they signed. Default: made once and kept in the database.",
    )
    smtp_url: str | None = Field(
        None,
        description="The mail relay: smtp://[user:password@]host[:port][?tls=none|starttls|required], or smtps://. "
        "Without one, mails are kept in the sandbox and go nowhere.",
    )
    sandbox_messages: int = Field(10_000, ge=1, description="Messages that the sandbox keeps: the newest ones.")
    sandbox_days: int = Field(7, ge=1, description="Days for which the sandbox keeps a message.")
    smtp_connections: int = Field(
        20, ge=1, description="Connections to the mail relay that all worker processes of one command keep."
    )
    smtp_timeout: float = Field(60, gt=0, description="Seconds to wait for the relay's answer to one command.")
    providers: Path | None = Field(
        None, description="A file with limits of mailbox providers, which goes before that of Caravan (YAML)."
    )
    replies: Path | None = Field(
        None,
        description="A file with rules for what replies of mail relays mean, which go before those of Caravan (YAML).",
    )
    nameserver: str | None = Field(
        None,
        description="The nameserver, ADDRESS:PORT, that is asked for mail exchangers of recipients. Default: as the "
        "machine does.",
    )
    dkim_keys: Path | None = Field(
        None,
        description="A folder of private keys that sign mails (DKIM): a file DOMAIN/SELECTOR.pem for each.",
    )
    bounce_domain: str | None = Field(
        None,
        description="The domain of the addresses that bounces come to, like bounces.example.com. Default: they go "
        "to the address in From.",
    )
    bounce_url: str | None = Field(
        None,
        description="Where `caravan bounces` takes mail that comes back: lmtp://host:port or smtp://host:port. With it "
        "`up` runs the receiver too.",
    )
    bounce_connections: int = Field(100, ge=1, description="Connections that the receiver of bounces has at once.")
    bounce_bytes: int = Field(10 * MIB, ge=1024, description="The largest mail that the receiver of bounces takes.")
    bounce_tls_cert: Path | None = Field(
        None,
        description="A file with the certificate, and those that vouch for it (PEM), with which the receiver of "
        "bounces offers STARTTLS. It is read again when it changes.",
    )
    bounce_tls_key: Path | None = Field(
        None, description="A file with its private key (PEM). Default: it is in the file of the certificate."
    )
    bounce_days: int = Field(
        30, ge=1, description="Days for which a message that came back is kept as it came; what it said stays longer."
    )
    ses_topics: str | None = Field(
        None, description="ARNs of the Amazon SNS topics whose events of Amazon SES are taken, by comma."
    )
    postmark_password: str | None = Field(
        None, description="The password in the URL of Postmark's webhook; without it none is taken."
    )
    sendgrid_key: str | None = Field(
        None, description="The verification key of SendGrid's signed event webhook; without it none is taken."
    )
    mailgun_secret: str | None = Field(
        None, description="Mailgun's HTTP webhook signing key; without it no webhook of Mailgun is taken."
    )
    max_attachments: int = Field(10, ge=0, description="Attachments that one mail may have.")
    max_attachment_bytes: int = Field(
        5 * MIB, gt=0, description="The largest size of all attachments of one mail together, as they are fetched."
    )
    webhook_connections: int = Field(
        50, ge=1, description="Webhook calls that all worker processes of one command have under way at once."
    )
    webhook_timeout: float = Field(30, gt=0, description="Seconds that one webhook call may take.")
    webhook_secrets: Path | None = Field(
        None, description="A folder of secrets that webhooks are signed with: a file CUSTOMER/NAME for each."
    )
    sms_url: str | None = Field(
        None,
        description="The SMS gateway: twilio://ACCOUNT_SID:AUTH_TOKEN@api.twilio.com?service=MG… or ?from=NUMBER, or "
        "file:PATH of a file that describes another one. Without one, text messages are kept in the sandbox.",
    )
    sms_connections: int = Field(
        20,
        ge=1,
        description="Calls of the SMS gateway that all worker processes of one command have under way at once.",
    )
    sms_timeout: float = Field(30, gt=0, description="Seconds that one call of the SMS gateway may take.")
    retry_delay: float = Field(
        60,
        gt=0,
        description="Seconds until the first retry of a temporary failure; doubles each time, to 6 hours.",
    )
    retry_hours: float = Field(
        72, gt=0, description="Hours after which a contact that still fails temporarily counts as failed."
    )
    upload_timeout: float = Field(
        60, gt=0, description="Seconds without a byte after which an upload is given up (408); it can be repeated."
    )
    keep_uploads: bool = Field(
        False, description="Keep the files of contacts once they are read, for as long as their batch's contacts."
    )
    max_file_bytes: int = Field(
        20 * GIB, gt=0, description="The largest file that is taken, as sent (compressed or not)."
    )
    max_expanded_bytes: int = Field(
        100 * GIB, gt=0, description="The largest size of a compressed file once it is expanded."
    )
    max_row_bytes: int = Field(1 * MIB, gt=0, description="The longest row; a longer one is rejected (too_long).")
    span_bytes: int = Field(
        2 * GIB,
        gt=0,
        description="A larger file that comes uncompressed is read in spans of this size, by all workers at once.",
    )
    cohort_size: int = Field(65_536, gt=0, description="Contacts in one cohort, at most.")
    window_size: int = Field(200, gt=0, description="Contacts that a sender has in its hands at one moment.")
    download_allow_private: bool = Field(
        False, description="Allow downloads and webhooks to private, loopback and link-local addresses."
    )
    download_timeout: float = Field(
        60, gt=0, description="Seconds without a byte after which a download is broken off and retried."
    )
    download_retry_delay: float = Field(
        1, gt=0, description="Seconds before a download's first retry; doubles each time."
    )
    workers: int = Field(
        0, ge=0, description="Worker processes of `up` and `worker`; 0 means one for each usable core, at most 16."
    )
    duckdb_memory: str = Field(
        "1GiB",
        description="Memory that DuckDB may use in all worker processes of one command before it spills; each has an "
        "equal share, but at least 256 MiB.",
    )
    threads: int = Field(
        0, ge=0, description="Threads that one worker process reads a file with; 0 means one for each usable core."
    )
    retention_days: int = Field(
        30, ge=0, description="Days for which contacts, rejects and journal of an ended batch are kept."
    )
    hit_days: int = Field(
        30, ge=1, description="Days for which each hit on a tracked link or image is kept, with its User-Agent."
    )
    event_days: int = Field(
        90, ge=1, le=400, description="Days for which events of contacts are kept, and duplicates of them are known."
    )
    log_level: str = Field("info", description="debug, info, warning or error.")
    log_format: LogFormat = Field(
        LogFormat.TEXT,
        description="text: a line for people; json: an object on each line; auto: text on a terminal, json elsewhere.",
    )

    @property
    def secret_keys(self) -> list[str]:
        """The keys that are good, the one that signs first; none if none is set."""
        return [key for each in (self.secret_key or "").split(",") if (key := each.strip())]

    @field_validator("duckdb_memory")
    @classmethod
    def _is_memory(cls, value: str) -> str:
        memory_bytes(value)
        return value

    @field_validator("operator_email")
    @classmethod
    def _is_email(cls, value: str) -> str:
        if not is_email(value.strip()):
            raise ValueError(f"should be an e-mail address like anna@example.com, not {value!r}")
        return value.strip()

    @field_validator("bounce_domain")
    @classmethod
    def _is_domain(cls, value: str | None) -> str | None:
        if value is not None and _DOMAIN.fullmatch(value.strip().lower()) is None:
            raise ValueError(f"should be a domain in ASCII like bounces.example.com, not {value!r}")
        return None if value is None else value.strip().lower()

    @property
    def links_url(self) -> str | None:
        """Where links in messages lead; None where nobody said."""
        return self.public_url or os.environ.get(OWN_URL)

    @property
    def folder(self) -> Path:
        """The data folder as an absolute path."""
        return self.data.expanduser().resolve()


class ChannelSettings(BaseSettings):
    """What a channel is told from outside beyond this table; each channel that needs some has a class of its own."""

    model_config = SettingsConfigDict(env_prefix="CARAVAN_", env_ignore_empty=True, frozen=True, extra="ignore")

    @classmethod
    def read(cls) -> Self:
        """From the environment. Raises `InvalidSetting` like `read_settings`."""
        try:
            return cls()
        except ValidationError as error:
            raise _invalid(error) from None


def unknown_variables(environment: Iterable[str]) -> Iterator[str]:
    """A sentence for each name that begins like a setting and is none. Values are never told: they may be secrets."""
    known = [_PREFIX + name.upper() for name in Settings.model_fields] + CLIENT_VARIABLES
    for name in sorted(environment):
        if name.startswith(WEBHOOK_SECRET):
            continue
        if name.startswith(_PREFIX) and name not in known and name not in _INTERNAL:
            near = difflib.get_close_matches(name, known, 1, 0.75)
            hint = f" Is {near[0]} meant?" if near else ""
            yield f"{name} is no setting, and is ignored.{hint}"


def is_email(text: str) -> bool:
    """Whether it looks like an e-mail address. Who it reaches is not asked: an installation may have names of its own,
    like owner@localhost."""
    return _EMAIL.fullmatch(text) is not None and len(text) <= _LONGEST_EMAIL


def memory_bytes(value: str) -> int:
    """The bytes that a size like "512MB" or "1.5 GiB" means. Raises `ValueError`."""
    found = _MEMORY.fullmatch(value.strip())
    if found is None or float(found[1]) <= 0:
        raise ValueError(f"should be a size like 512MB or 1GiB, not {value!r}")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2].upper() or " "))


def read_settings(**overrides: object) -> Settings:
    """The settings of this process: the environment, with `overrides` on top.

    Raises `InvalidSetting` that names each wrong variable and what is wrong with it.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> InvalidSetting:
    wrong = "; ".join(
        f"CARAVAN_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors(include_url=False)
    )
    return InvalidSetting(f"These settings can't be used: {wrong}.")
