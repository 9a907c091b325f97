"""Mails as mail systems send them back, made up in the forms that they have."""

KEY = "1" + "0123456789abcdefghijklmnopqrst01g4a"
ORIGINAL = f"""\
From: Shop <shop@example.com>
To: anna@example.net
Subject: Hello
Message-ID: <{KEY}@example.com>

Hello
"""


def dsn(
    action: str = "failed",
    status: str = "5.1.1",
    said: str = "smtp; 550 5.1.1 <anna@example.net>: user unknown",
    text: str = "I'm sorry to have to inform you that your message could not be delivered.",
) -> bytes:
    """A delivery status notification as Postfix writes it (RFC 3464)."""
    diagnostic = f"Diagnostic-Code: {said}\n" if said else ""
    return f"""\
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: bounce@bounces.example.com
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=b="

--=b=
Content-Type: text/plain

{text}

--=b=
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Arrival-Date: Thu, 26 Nov 2026 07:00:00 +0000

Final-Recipient: rfc822; anna@example.net
Original-Recipient: rfc822;anna@example.net
Action: {action}
Status: {status}
{diagnostic}
--=b=
Content-Type: message/rfc822

{ORIGINAL}
--=b=--
""".encode()


def arf(kind: str = "abuse", original: str = ORIGINAL, fields: str = "") -> bytes:
    """A complaint as feedback loops report it (RFC 5965)."""
    return f"""\
From: <abusedesk@example.net>
To: <complaints@bounces.example.com>
Subject: FW: Earn money
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1"

--part1
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report for an email message.

--part1
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
{fields}
--part1
Content-Type: message/rfc822
Content-Disposition: inline

{original}
--part1--
""".encode()


def plain(subject: str, text: str, sender: str = "Anna <anna@example.net>", headers: str = "") -> bytes:
    """A mail of one text."""
    return f"From: {sender}\nTo: bounce@bounces.example.com\nSubject: {subject}\n{headers}\n{text}\n".encode()


QMAIL = plain(
    "failure notice",
    """\
Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<anna@example.net>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.
""",
    "MAILER-DAEMON@mx.example.net",
)
EXIM = plain(
    "Mail delivery failed: returning message to sender",
    """\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  anna@example.net
    SMTP error from remote mail server after RCPT TO:<anna@example.net>:
    550 5.7.1 Message blocked by policy
""",
    "Mail Delivery System <Mailer-Daemon@mx.example.net>",
    "X-Failed-Recipients: anna@example.net\nAuto-Submitted: auto-replied\n",
)
VACATION = plain("Re: Hello", "I am away until Monday.", headers="Auto-Submitted: auto-replied (vacation)\n")
