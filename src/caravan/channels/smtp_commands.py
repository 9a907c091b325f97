"""What goes over an SMTP connection: the commands of one mail, and its content (RFC 5321, RFC 3030)."""

from dataclasses import dataclass

from caravan.channels.mail import Mail


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the relay offers (EHLO keywords), as far as it matters for mails."""

    pipelining: bool = False  # RFC 2920
    chunking: bool = False  # RFC 3030
    size: bool = False  # RFC 1870
    smtputf8: bool = False  # RFC 6531
    requiretls: bool = False  # RFC 8689

    @classmethod
    def of(cls, keywords: frozenset[str]) -> "Extensions":
        """From keywords in lower case."""
        return cls(*(name in keywords for name in ("pipelining", "chunking", "size", "smtputf8", "requiretls")))


def mail_command(mail: Mail, offers: Extensions, *, tls: bool = False) -> bytes:
    """MAIL with what the relay offers to be told. `tls`: it is to be encrypted on all of its way."""
    utf8 = "" if mail.sender.isascii() and mail.recipient.isascii() else " SMTPUTF8 BODY=8BITMIME"
    size = f" SIZE={mail.size}" if offers.size else ""
    encrypted = " REQUIRETLS" if tls and offers.requiretls else ""
    return f"MAIL FROM:<{mail.sender}>{size}{utf8}{encrypted}\r\n".encode()


def rcpt_command(mail: Mail) -> bytes:
    """RCPT for the one recipient of a mail."""
    return f"RCPT TO:<{mail.recipient}>\r\n".encode()


def stuffed(content: bytes) -> bytes:
    """`content` as DATA takes it: no line is a lone dot but the last (RFC 5321 §4.5.2)."""
    content = content.replace(b"\r\n.", b"\r\n..")
    dot = b"." if content.startswith(b".") else b""
    end = b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"
    return dot + content + end


def chunk(content: bytes) -> bytes:
    """`content` as one chunk, which is the last (RFC 3030 §2). Like with DATA, it ends with a line end."""
    end = b"" if content.endswith(b"\r\n") else b"\r\n"
    return b"BDAT %d LAST\r\n%b%b" % (len(content) + len(end), content, end)
