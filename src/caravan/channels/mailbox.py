"""One mail address, perhaps with a name, as people write it: `Åsa Öberg <asa@example.com>`."""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from email_validator import EmailNotValidError, validate_email

from caravan.errors import RenderFailed

# C0 and C1 controls, DEL and Unicode's own line ends: none of them belongs into a header, and some end it.
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
# What nearly all addresses look like; the thorough check of email-validator takes twenty times as long.
_PLAIN: Final = re.compile(
    rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?=[A-Za-z])(?!xn--){_LABEL}",
)
_QUOTED_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_NAMED: Final = re.compile(rf"(?P<name>.*)<(?P<address>\s*(?:{_QUOTED_STRING})?[^<>\"]*)>", re.DOTALL)
# Another address before the last one, set apart from it: a list, not a name.
_SEVERAL: Final = re.compile(r"[^\s,;<>@]@[^\s,;<>@]+>?[^\S\r\n]*[,;\r\n]")
_QUOTED: Final = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"')
_ATOMS: Final = re.compile(rf"{_ATOM}(?: {_ATOM})*")
_LONGEST_NAME: Final = 200  # characters
_WORD_BYTES: Final = (
    39  # of UTF-8 in one encoded word, so that a line with its header name stays within 76 (RFC 2047 §2)
)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address that can be used in an SMTP command as it is, and the name beside it (may be empty)."""

    name: str
    address: str  # the domain in ASCII (IDNA); the local part may hold other letters (SMTPUTF8)

    @property
    def domain(self) -> str:
        """What stands after the @, in ASCII."""
        return self.address.rpartition("@")[2]

    def header(self) -> str:
        """How it stands in From, To or Reply-To (RFC 5322 §3.4), folded where it is long."""
        if not self.name:
            return self.address
        name = _phrase(self.name)
        space = " " if len(name) + len(self.address) < 64 else "\r\n "
        return f"{name}{space}<{self.address}>"


def parse_mailbox(text: str, field: str) -> Mailbox:
    """The one address in `text`, which fills `field` ("to").

    Raises `RenderFailed` for none, several, or one that can't be. Whether it exists is the relay's to say.
    """
    if _PLAIN.fullmatch(text):
        return Mailbox("", text)
    if not (clean := clean_text(text)):
        raise RenderFailed(f"`{field}` is empty; it must be one mail address.")
    if named := _NAMED.fullmatch(text.strip()):
        name, address = _name(named["name"], field), clean_text(named["address"])
    elif "\r" in text.strip() or "\n" in text.strip():
        raise RenderFailed(f"`{field}` must be one mail address on one line, not {_shown(clean)}.")
    else:
        name, address = "", clean
    return Mailbox(name, address if _PLAIN.fullmatch(address) else _thorough(address, field))


def own_mailbox(address: str) -> Mailbox:
    """The address of a user of the installation, whose domain may be one of its own without a dot, like
    owner@localhost. Raises `RenderFailed`."""
    if not re.fullmatch(_LABEL, address.rpartition("@")[2]):
        return parse_mailbox(address, "to")
    whole = parse_mailbox(f"{address}.test", "to")  # the same rules for all but the dot
    return Mailbox("", whole.address.removesuffix(".test"))


def _name(text: str, field: str) -> str:
    """What stands before `<address>`, made safe. Whatever a contact is called, its mail can be sent."""
    clean = clean_text(text)
    if quoted := _QUOTED.fullmatch(clean):
        clean = re.sub(r"\\(.)", r"\1", quoted["text"]).strip()
    elif _SEVERAL.search(text):
        raise RenderFailed(f"`{field}` must be one mail address on one line, not several: {_shown(clean)}.")
    return clean if len(clean) <= _LONGEST_NAME else clean[: _LONGEST_NAME - 1] + "…"


def _thorough(address: str, field: str) -> str:
    try:
        # Whether .test or .local can be delivered is for the relay to say, so no rule but syntax.
        valid = validate_email(
            address, check_deliverability=False, globally_deliverable=False, allow_quoted_local=True, strict=True
        )
        if "\ufffd" in valid.local_part:
            raise UnicodeError("something was lost on the way here")
    except (EmailNotValidError, UnicodeError):
        raise RenderFailed(f"`{field}` must be one mail address, not {_shown(address)}.") from None
    if "." not in valid.ascii_domain:
        raise RenderFailed(f"`{field}` is {_shown(address)}, whose domain has no dot.")
    return f"{valid.local_part}@{valid.ascii_domain}"


def clean_text(text: str) -> str:
    """`text` as one line that can stand in a header: each run of control characters becomes one space."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub(" ", text)).strip()


def encoded_words(text: str) -> str:
    """`text` in Base64 encoded words (RFC 2047), one a line, none of which cuts a character in two."""
    return "\r\n ".join(f"=?utf-8?b?{b64encode(piece).decode('ascii')}?=" for piece in _pieces(text))


def _pieces(text: str) -> Iterator[bytes]:
    rest = text.encode("utf-8")
    while rest:
        end = min(_WORD_BYTES, len(rest))
        while end < len(rest) and rest[end] & 0xC0 == 0x80:
            end -= 1
        yield rest[:end]
        rest = rest[end:]


def _phrase(name: str) -> str:
    """A display name in the plainest form that means it (RFC 5322 §3.2.5, RFC 2047 §5)."""
    if not name.isascii() or len(name) > 60 or "=?" in name:
        return encoded_words(name)
    if _ATOMS.fullmatch(name):
        return name
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
