"""Keeping secrets out of what is written down: those that the process knows, and what looks like one.

A known secret is found wherever it stands, also as `repr`, JSON or a URL would spell it. Others, like a customer's
token or a URL that a client gave, are known by their shape alone.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qs, quote, quote_plus, unquote, urlsplit

MASK: Final = "***"
#: A known secret that is shorter is masked only in a URL or after its name: as a part of words it would be everywhere.
SHORTEST: Final = 4
_NAMES: Final = r"signature|passw(?:or)?d|passwd|pwd|secret|token|api[-_]?key|access[-_]?key|credential|authorization"
_SECRET_NAME: Final = re.compile(rf"{_NAMES}|authentication|\bsig\b", re.IGNORECASE)
#: Each in time that grows with the text alone: what is searched from every place is bounded.
_SHAPES: Final = [
    # URLs, RFC 3986 §3.2.1 and §3.4: a password before the host; a query, which may hold a signature by any name.
    (re.compile(r"(://[^\s:/?#@]*:)[^\s/?#]*@"), rf"\1{MASK}@"),
    (re.compile(r"(://[^\s?#]{0,2000}\?)[^\s#'\"<>]+"), rf"\1{MASK}"),
    # A customer's token: its number may be read (store/customers.py).
    (re.compile(r"(crv_[0-9a-f]+_)[\w-]+"), rf"\1{MASK}"),
    # What is signed: the path of an upload URL (api/signing.py).
    (re.compile(r"(/uploads/)\.?[\w-]+\.[\w-]{20,}"), rf"\1{MASK}"),
    # Where a contact is accepted or rejected (delivery/answers.py).
    (re.compile(r"(/a/[0-9a-vA-V]{30,48}/(?:accept|reject)/)[0-9a-fA-F]+"), rf"\1{MASK}"),
    (re.compile(r"(?<![\w.-])\.?[\w-]{10,}\.[\w-]{43}(?![\w-])"), MASK),
    # Credentials of HTTP (RFC 9110 §11.4) and SMTP (RFC 4954 §4).
    (re.compile(r"\b(bearer|basic|auth plain|auth login)\s+[\w+/.~=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    # name=value and name: value, as in conninfo strings, queries, headers, dicts and JSON.
    (
        re.compile(
            rf"""((?:(?:{_NAMES})[\w-]{{0,40}}|\bsig)["']?\s*[=:]\s*b?)"""
            r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|(?:(?:bearer|basic)\s+)?[^\s&;,"')\]}]+)""",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
]
_VARIABLES: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "CARAVAN_TOKEN", "PGPASSWORD")
#: No shape is found in a text without one of these; most lines have none, so they cost one search.
_HINT: Final = re.compile(rf"://|crv_|/uploads/|/a/|[\w-]{{43}}|bearer|basic|auth |{_NAMES}|sig", re.IGNORECASE)


class Masker:
    """Puts `***` in the place of secrets; `known` are those to be found in any text."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        spelled = {way for each in known if len(each) >= SHORTEST for way in _spellings(each)}
        longest_first = sorted(spelled, key=lambda way: (-len(way), way))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if spelled else None

    def text(self, text: str) -> str:
        """The same text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if _HINT.search(text) is not None:
            for shape, without in _SHAPES:
                text = shape.sub(without, text)
        return text

    def value(self, value: object, name: str = "") -> object:
        """The same value, of types that JSON has, without secrets; `name` is what it is called."""
        if value is None or isinstance(value, bool):
            return value
        if _SECRET_NAME.search(name) is not None:
            return MASK
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(each, str(key)) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each) for each in value]
        text = self.text(str(value))
        return value if isinstance(value, int | float) and text == str(value) else text


def secrets_in(settings: Mapping[str, object], environment: Mapping[str, str]) -> Iterator[str]:
    """The secrets among settings, {name: value}, and environment variables: keys, and the passwords of URLs."""
    for name, value in settings.items():
        if isinstance(value, str) and _SECRET_NAME.search(name):
            yield from {value, *map(str.strip, value.split(","))}  # of keys there may be several
    yield from (environment[name] for name in _VARIABLES if name in environment)
    for each in [*settings.values(), *environment.values()]:
        if isinstance(each, str) and "://" in each:
            yield from _passwords(each)


def _passwords(url: str) -> Iterator[str]:
    """The password of a URL, as it stands there and as it is meant; libpq takes it from the query as well."""
    authority = url.partition("://")[2]
    _, colon, written = authority.rpartition("@")[0].partition(":")  # also of a URL that is none, like with a / in it
    if colon:
        yield from (written, unquote(written))
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    if parts.password:
        yield from (parts.password, unquote(parts.password))
    for name, values in parse_qs(parts.query).items():
        if _SECRET_NAME.search(name):
            yield from values


def _spellings(secret: str) -> set[str]:
    """A secret as texts hold it: as it is, with other white space, and escaped as Python, JSON and URLs do."""
    octets = secret.encode("utf-8", "surrogatepass")
    ways = {secret, " ".join(secret.split()), quote(octets, safe=""), quote(octets), quote_plus(octets)}
    ways |= {b64encode(octets).decode(), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for escaped in (repr('"' + secret)[2:-1], ascii('"' + secret)[2:-1], repr(b'"' + octets)[3:-1]):
        ways |= {escaped, escaped.replace("\\'", "'")}  # the quotes that a longer text has around it decide
    return {way for way in ways if len(way) >= SHORTEST}
