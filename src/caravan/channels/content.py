"""The body of a mail as MIME: the plainest transfer encoding that carries each part unharmed (RFC 2045
§6)."""

import binascii
from functools import lru_cache
from typing import Final

_LONGEST_LINE: Final = 998  # octets, RFC 5322 §2.1.1
_PRINTABLE: Final = bytes([9, 10, *range(32, 127)])
_BASE64_LINE: Final = 76


class BodyWriter:
    """Writes bodies, and remembers how lines were encoded: most lines of a template are the same in each of its
    mails. One for each template; threads may share it."""

    def __init__(self, lines: int = 4_096) -> None:
        """`lines` is how many are remembered, each of less than 1,000 octets."""
        self._remembered = lru_cache(maxsize=lines)(_quoted)

    def body(self, text: str | None, html: str | None, boundary: str) -> bytes:
        """The MIME headers and the body below them: a text, an HTML page, or both as alternatives, the better
        last.

        `boundary` (ASCII) separates the parts; it must be unpredictable to their authors. Lines end with CRLF.
        """
        if html is None:
            return self._part("plain", text or "")
        if text is None:
            return self._part("html", html)
        mark = boundary.encode("ascii")
        return b"".join(
            (
                b'Content-Type: multipart/alternative; boundary="%s"\r\n\r\n--%s\r\n' % (mark, mark),
                self._part("plain", text),
                b"--%s\r\n" % mark,
                self._part("html", html),
                b"--%s--\r\n" % mark,
            )
        )

    def _part(self, subtype: str, text: str) -> bytes:
        octets = _lines(text)
        encoding, content = self._encode(octets)
        charset = "us-ascii" if encoding == "7bit" else "utf-8"
        head = f"Content-Type: text/{subtype}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        return head.encode("ascii") + content

    def _encode(self, octets: bytes) -> tuple[str, bytes]:
        odd = len(octets.translate(None, _PRINTABLE))
        if not odd and max(map(len, octets.split(b"\n"))) <= _LONGEST_LINE:
            return "7bit", octets.replace(b"\n", b"\r\n")
        # Quoted-printable takes 3 octets for each odd one, Base64 4 for each 3.
        if odd * 6 > len(octets):
            return "base64", base64_lines(octets.replace(b"\n", b"\r\n"))
        return "quoted-printable", b"".join(map(self._line, octets.splitlines(keepends=True)))

    def _line(self, line: bytes) -> bytes:
        return self._remembered(line) if len(line) <= _LONGEST_LINE else _quoted(line)


def _lines(text: str) -> bytes:
    """`text` in UTF-8, with LF at the end of each line and of the last one. Lone surrogates become question
    marks."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    octets = text.encode("utf-8", "replace")
    return octets if octets.endswith(b"\n") else octets + b"\n"


def _quoted(line: bytes) -> bytes:
    """A line with its LF, quoted-printable. What it becomes does not depend on others (RFC 2045 §6.7)."""
    return binascii.b2a_qp(line, istext=True).replace(b"\n", b"\r\n")


def base64_lines(octets: bytes) -> bytes:
    """Octets in Base64, in lines of at most 76 characters that end with CRLF (RFC 2045 §6.8)."""
    flat = binascii.b2a_base64(octets, newline=False)
    lines = [flat[start : start + _BASE64_LINE] for start in range(0, len(flat), _BASE64_LINE)]
    return b"\r\n".join(lines) + b"\r\n"
