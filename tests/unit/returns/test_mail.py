"""What mails say that come to a return address; none of them can do harm."""

import time

import pytest

from caravan.returns.mail import read_mail
from caravan.returns.returned import Kind
from tests.unit.returns.mails import EXIM, KEY, QMAIL, VACATION, arf, dsn, plain


@pytest.mark.parametrize(
    ("status", "said", "hard", "code"),
    [
        ("5.1.1", "smtp; 550 5.1.1 <a@b>: user unknown", True, "550 5.1.1"),
        ("5.0.0", "smtp; 550 5.1.1 <a@b>: user unknown", True, "550 5.1.1"),
        ("5.0.0", "smtp; 550 no such user", True, "550 5.0.0"),
        ("5.2.2", "smtp; 552 5.2.2 over quota", False, "552 5.2.2"),
        ("5.7.1", "smtp; 554 5.7.1 rejected: on our block list", False, "554 5.7.1"),
        ("5.7.26", "smtp; 550-5.7.26 Unauthenticated email is not accepted", False, "550 5.7.26"),
        ("4.4.7", "smtp; 421 4.4.7 delivery time expired", False, "421 4.4.7"),
        ("5.4.4", "X-Postfix; Host or domain name not found", True, "550 5.4.4"),
        ("5.1.10", "smtp; 556 5.1.10 null MX", True, "556 5.1.10"),
        ("5.3.4", "", False, "550 5.3.4"),
        ("", "", False, ""),
    ],
)
def test_a_delivery_report_is_hard_only_where_it_says_that_there_is_no_such_address(
    status: str, said: str, hard: bool, code: str
) -> None:
    found = read_mail(dsn(status=status, said=said))
    assert found is not None and found.kind is Kind.BOUNCED
    assert (found.hard, found.code) == (hard, code)


def test_a_report_of_a_delay_is_no_bounce_and_one_of_a_delivery_is_a_delivery() -> None:
    assert read_mail(dsn("delayed", "4.4.1", "smtp; 451 4.4.1 no answer")) is None
    assert read_mail(dsn("relayed", "2.0.0", "")) is None
    delivered = read_mail(dsn("delivered", "2.0.0", "smtp; 250 2.0.0 Ok"))
    assert delivered is not None and delivered.kind is Kind.DELIVERED


def test_bounces_in_no_standard_form_are_read_with_the_codes_in_their_text() -> None:
    qmail, exim = read_mail(QMAIL), read_mail(EXIM)
    assert qmail is not None and (qmail.kind, qmail.hard, qmail.code) == (Kind.BOUNCED, True, "550 5.1.1")
    assert qmail.reason == "Sorry, no mailbox here by that name. (#5.1.1)"
    assert exim is not None and (exim.kind, exim.hard, exim.code) == (Kind.BOUNCED, False, "550 5.7.1")


@pytest.mark.parametrize("kind", ["abuse", "fraud", "Abuse", "opt-out"])
def test_a_complaint_bears_the_key_of_the_mail_that_it_is_about(kind: str) -> None:
    found = read_mail(arf(kind), "abusedesk@example.net")
    assert found is not None and (found.kind, found.key) == (Kind.COMPLAINED, KEY)


def test_the_key_of_a_complaint_is_found_where_the_mail_was_cut() -> None:
    fields = f"Original-Mail-From: <bounce-{KEY.upper()}@bounces.example.com>\n"
    found = read_mail(arf(original="Subject: cut\n\n", fields=fields))
    assert found is not None and found.key == KEY


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "virus", ""])
def test_a_report_that_is_no_complaint_counts_as_none(kind: str) -> None:
    found = read_mail(arf(kind))
    assert found is not None and found.kind is Kind.UNREAD


@pytest.mark.parametrize(
    "raw",
    [
        VACATION,
        plain("Out of Office: Hello", "Away."),
        plain("Abwesenheitsnotiz", "Ich bin weg."),
        plain("Re: Hello", "Away.", headers="X-Autoreply: yes\n"),
        plain("Re: Hello", "Away.", headers="Precedence: bulk\n"),
        plain("Re: Hello", "550 5.1.1 user unknown, said the last mail. I am away.", headers="Auto-Submitted: x\n"),
        plain("Read: Hello", "x", headers="Content-Type: multipart/report; report-type=disposition-notification\n"),
    ],
)
def test_what_a_program_answers_for_its_user_is_nothing(raw: bytes) -> None:
    assert read_mail(raw, "anna@example.net") is None


def test_a_reply_is_a_reply() -> None:
    found = read_mail(plain("Re: Hello", "Thank you!", headers="Auto-Submitted: no\n"), "anna@example.net")
    assert found is not None and (found.kind, found.reason) == (Kind.REPLIED, "Re: Hello")


def test_who_quotes_a_bounce_in_a_reply_has_not_bounced() -> None:
    found = read_mail(plain("Re: Hello", QMAIL.partition(b"\n\n")[2].decode()), "anna@example.net")
    assert found is not None and found.kind is Kind.REPLIED
    returned = read_mail(plain("Undeliverable: Hello", QMAIL.partition(b"\n\n")[2].decode()), "anna@example.net")
    assert returned is not None and returned.kind is Kind.BOUNCED


def test_what_a_machine_says_that_nobody_understands_is_kept_as_such() -> None:
    found = read_mail(plain("Hmm", "Something happened.", "MAILER-DAEMON@mx.example.net"))
    assert found is not None and found.kind is Kind.UNREAD


HOSTILE = {
    "nothing": b"",
    "zeros": b"\0" * 200_000,
    "no header": b"\r\n\r\n" * 1000,
    "unknown charset": dsn().replace(b"text/plain", b'text/plain; charset="x-\xff\0-none"'),
    "broken base64": plain("x", "%%%", "mailer-daemon@x", "Content-Transfer-Encoding: base64\n"),
    "header of octets": b"From: \xff\xfe\0\nSubject: \x80\x81\0\n\nx",
    "many parts": b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * 50_000,
    "deep parts": b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(290)),
    "deeper parts": b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(9000)),
    "deep messages": b"Content-Type: message/rfc822\n\n" * 5_000,
    "endless line": b"Subject: x\n\n" + b"a" * 3_000_000,
    "endless header": b"Subject: " + b"a " * 500_000 + b"\n\nx",
    "many headers": b"X: y\n" * 50_000 + b"\nx",
    "parameters": b"Content-Type: text/plain; " + b"a*0*=x'';" * 20_000 + b"\n\nx",
    "many blocks": dsn().replace(b"Action: failed\n", b"Action: delayed\n\n" * 20_000 + b"Action: failed\n"),
    "addresses": plain("x", "<a@b.c>\n" * 30_000, "mailer-daemon@x"),
    "starts": plain(
        "x", "this message was created automatically by mail delivery software\n" * 5_000, "mailer-daemon@x"
    ),
    "blanks": plain("x", ("x" + " " * 1_900 + "\n") * 130, "mailer-daemon@x"),
    "delivery report in latin": dsn(said="smtp; 550 5.1.1 caf\u00e9 \u202e\u0000").replace("é".encode(), b"\xe9"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_comes_is_read_in_a_moment(name: str) -> None:
    begin = time.process_time()
    found = read_mail(HOSTILE[name])
    assert time.process_time() - begin < 2
    if found is not None:
        assert "\0" not in found.reason and "\n" not in found.reason and len(found.reason) <= 300
