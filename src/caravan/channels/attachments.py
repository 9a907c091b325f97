"""Files that each mail of a step brings along: fetched once, when the journey is published, and kept by their content.

What a contact's mail costs for them is a few boundaries: the parts themselves are written once for a cohort, and all of
its mails share those octets.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from email.utils import encode_rfc2231
from mimetypes import MimeTypes
from typing import Annotated, Final
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from caravan.channels.content import base64_lines
from caravan.channels.mail import Mail
from caravan.journeys.model_part import DefinitionPart
from caravan.store.files import Files

_LONGEST_NAME: Final = 120  # characters
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u2028-\u202e\u2066-\u2069\ud800-\udfff\"]")
_UNKNOWN: Final = "application/octet-stream"
_TYPES: Final = MimeTypes()  # the table of the standard library, and not what a machine's own files say


def _web_url(text: str) -> str:
    url = text.strip()
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc or "{{" in url or "{%" in url:
        raise ValueError("an attachment is fetched from one URL, the same for everyone: https://example.com/terms.pdf")
    return url


def _file_name(text: str) -> str:
    name = text.strip()
    if not name or len(name) > _LONGEST_NAME or _UNFIT.search(name) or name.strip(".") == "":
        raise ValueError(f"this is no file name of at most {_LONGEST_NAME} characters, like terms.pdf")
    return name


class Attachment(DefinitionPart):
    """A file from `url`. Recipients see `name`, by default the last piece of the URL's path. Publishing writes the
    SHA-256 of what it fetched (`sha256`, in hex), and takes nothing else where it is there already."""

    url: Annotated[str, AfterValidator(_web_url)]
    name: Annotated[str, AfterValidator(_file_name)] | None = None
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")

    @property
    def shown(self) -> str:
        """The name that recipients see."""
        if self.name is not None:
            return self.name
        piece = unquote(urlsplit(self.url).path).rpartition("/")[2]
        return _UNFIT.sub("", piece)[-_LONGEST_NAME:].strip(" .") or "attachment"


def stored_name(customer: int, sha256: str) -> str:
    """Where a customer's attachment is kept in the store of files."""
    return f"attachments/{customer}/{sha256}"


def parts(attachments: Sequence[Attachment], files: Files, customer: int) -> list[bytes]:
    """The attachments as MIME parts, with headers and line ends. Those that were never fetched, as in a draft that is
    tried, are left out. Blocks. Raises FileNotFoundError where the store has lost one."""
    return [_part(each, files, customer) for each in attachments if each.sha256 is not None]


def _part(attachment: Attachment, files: Files, customer: int) -> bytes:
    assert attachment.sha256 is not None
    with files.local(stored_name(customer, attachment.sha256)) as path:
        content = path.read_bytes()
    name, encoding = attachment.shown, _TYPES.guess_type(attachment.shown)
    kind = encoding[0] if encoding[0] and encoding[1] is None else _UNKNOWN
    said = f'filename="{name}"' if name.isascii() else f"filename*={encode_rfc2231(name, 'utf-8')}"
    head = (
        f"Content-Type: {kind}\r\nContent-Disposition: attachment; {said}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.encode("ascii") + base64_lines(content)


def with_parts(mail: Mail, parts: Sequence[bytes], boundary: str) -> Mail:
    """The mail with parts behind its body, as multipart/mixed (RFC 2046 §5.1.3). `boundary` must be another than that
    of the body, and unpredictable to the authors of the texts."""
    if not parts:
        return mail
    mark = boundary.encode("ascii")
    start = mail.content.index(b"\r\nContent-Type: ") + 2
    head, body = mail.content[:start], mail.content[start:]
    opening = b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\n--%b\r\n' % (mark, mark)
    between = b"--%b\r\n" % mark
    enclosed = [piece for part in parts for piece in (between, part)]
    return replace(mail, content=head + opening + body, enclosed=(*enclosed, b"--%b--\r\n" % mark))
