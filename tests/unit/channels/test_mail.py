"""A mail is what its author and its contact's properties say, and nothing that they try to make it."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.content import BodyWriter
from caravan.channels.email import _SAFE
from caravan.channels.mail import Letterhead, Mail, compose
from caravan.errors import RenderFailed

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY = "0123456789abcdef" * 2
SHOP = Letterhead.of("Shop <shop@example.com>")
HEADERS = ["From", "MIME-Version", "To", "Subject", "Date", "Message-ID", "Content-Type"]
Anything = st.text(st.characters(exclude_categories=()) | st.sampled_from('\r\n\t\0<>@,;:"\\ =?.'), max_size=300)


def mail(**changes: Any) -> Mail:
    parts: dict[str, Any] = {
        "letterhead": SHOP, "writer": BodyWriter(), "to": "bruce@example.com", "subject": "Hello", "text": "Hi",
        "html": None, "key": KEY, "date": NOON,
    }  # fmt: skip
    parts |= changes
    return compose(parts.pop("letterhead"), parts.pop("writer"), **parts)


def parsed(composed: Mail) -> EmailMessage:
    return cast(EmailMessage, message_from_bytes(composed.content, policy=policy.default))


def content(part: Any) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


def name_of(composed: Mail, header: str) -> str:
    """The display name, by the older parser: the newer one puts a space between folded words (RFC 2047 §6.2)."""
    raw = message_from_bytes(composed.content)[header]
    return str(make_header(decode_header(parseaddr(raw)[0])))


def raw_headers(composed: Mail) -> list[str]:
    head = composed.content.partition(b"\r\n\r\n")[0].decode("utf-8")
    return [line.partition(":")[0] for line in re.split(r"\r\n(?![ \t])", head)]


def one_line(text: str) -> str:
    """What a header may hold of `text`, written another way than the code does."""
    kept = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" else c for c in text)
    return re.sub("[\ud800-\udfff]", "\ufffd", kept).strip()


def squeezed(text: str) -> str:
    return " ".join(text.split())


class TestHeaders:
    def test_are_these_and_no_others(self) -> None:
        assert raw_headers(mail()) == [*HEADERS, "Content-Transfer-Encoding"]

    def test_name_the_sender_and_where_answers_go(self) -> None:
        letterhead = Letterhead.of("Åsas Butik <asa@bücher.example.com>", "Kundtjänst <help@example.com>")
        message = parsed(mail(letterhead=letterhead))
        assert message["From"].addresses[0].display_name == "Åsas Butik"
        assert message["From"].addresses[0].addr_spec == "asa@xn--bcher-kva.example.com"
        assert message["Reply-To"].addresses[0].display_name == "Kundtjänst"
        assert message["Reply-To"].addresses[0].addr_spec == "help@example.com"

    def test_the_message_id_is_the_delivery_key_at_the_senders_domain(self) -> None:
        composed = mail(letterhead=Letterhead.of("x@bücher.example.com"))
        assert composed.message_id == f"<{KEY}@xn--bcher-kva.example.com>"
        assert parsed(composed)["Message-ID"] == composed.message_id

    def test_the_date_keeps_its_zone(self) -> None:
        date = datetime(2026, 11, 23, 12, 0, 7, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        assert parsedate_to_datetime(parsed(mail(date=date))["Date"]) == date

    def test_the_same_contact_gets_the_same_octets_at_each_attempt(self) -> None:
        assert mail(text="a", html="<p>å</p>") == mail(text="a", html="<p>å</p>")

    @pytest.mark.parametrize(
        "subject",
        [
            "", "Hello", "Für Åsa: 20 % på allt", "日本語の件名" * 20, "=?utf-8?q?not_encoded?=", "a" * 980,
            "two  spaces " * 40, "👩‍👩‍👧‍👦" * 30, "x" * 75 + " " * 100 + "y", "Re: " + "word " * 60,
        ],
    )  # fmt: skip
    def test_the_subject_arrives_as_it_was(self, subject: str) -> None:
        assert parsed(mail(subject=subject))["Subject"] == subject.strip()

    def test_a_short_plain_subject_is_readable_on_the_wire(self) -> None:
        assert b"\r\nSubject: Bruce, this is for you\r\n" in mail(subject="Bruce, this is for you").content

    def test_a_subject_of_more_than_980_characters_is_refused(self) -> None:
        with pytest.raises(RenderFailed, match="subject is longer than 980"):
            mail(subject="å" * 981)


class TestInjection:
    """Whatever stands in a property, no header, recipient or part comes of it."""

    @given(Anything)
    def test_a_subject_stays_a_subject(self, text: str) -> None:
        try:
            composed = mail(subject=text)
        except RenderFailed:
            return
        assert raw_headers(composed) == [*HEADERS, "Content-Transfer-Encoding"]
        assert squeezed(str(parsed(composed)["Subject"])) == squeezed(one_line(text))
        assert (composed.sender, composed.recipient) == ("shop@example.com", "bruce@example.com")

    @given(Anything)
    def test_a_name_stays_a_name(self, text: str) -> None:
        try:
            composed = mail(to=f"{text} <bruce@example.com>")
        except RenderFailed:
            return
        assert composed.recipient == "bruce@example.com"
        assert raw_headers(composed) == [*HEADERS, "Content-Transfer-Encoding"]
        (address,) = parsed(composed)["To"].addresses
        assert address.addr_spec == "bruce@example.com"

    @given(Anything.filter(lambda text: "@" not in text))
    def test_no_name_keeps_a_contact_from_its_mail(self, name: str) -> None:
        composed = mail(to=f"{name} <bruce@example.com>")
        assert composed.recipient == "bruce@example.com"
        assert raw_headers(composed) == [*HEADERS, "Content-Transfer-Encoding"]

    @given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20))
    def test_any_quoted_local_part_is_an_address_that_smtp_can_carry(self, text: str) -> None:
        quoted = '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
        composed = mail(to=f"Bruce <{quoted}@example.com>")
        local = composed.recipient.removesuffix("@example.com")
        unquoted = re.sub(r"\\(.)", r"\1", local[1:-1]) if local.startswith('"') else local
        assert unquoted == text
        assert _SAFE.fullmatch(composed.recipient)
        assert raw_headers(composed) == [*HEADERS, "Content-Transfer-Encoding"]

    @given(Anything)
    def test_a_recipient_is_one_clean_address_or_none(self, text: str) -> None:
        try:
            composed = mail(to=text)
        except RenderFailed:
            return
        local, _, domain = composed.recipient.rpartition("@")
        assert not re.search(r"[\x00-\x20\x7f<>,;\"\\@]", domain if local.startswith('"') else local + domain)
        assert raw_headers(composed) == [*HEADERS, "Content-Transfer-Encoding"]

    @given(Anything, Anything)
    def test_a_body_stays_in_its_part(self, text: str, html: str) -> None:
        composed = mail(text=text, html=html)
        message = parsed(composed)
        assert raw_headers(composed) == HEADERS
        parts = [part.get_content_type() for part in message.iter_parts()]
        assert parts == ["text/plain", "text/html"]

    @given(Anything, Anything)
    def test_no_line_is_longer_than_998_octets_or_ends_with_less_than_crlf(self, text: str, html: str) -> None:
        octets = mail(text=text * 5, html=html * 9).content
        assert octets.endswith(b"\r\n")
        assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
        assert max(map(len, octets.split(b"\r\n"))) <= 998
        assert b"\0" not in octets

    def test_the_boundary_is_not_known_to_who_writes_the_body(self) -> None:
        (first,) = re.findall(rb'boundary="([^"]+)"', mail(html="x").content)
        (second,) = re.findall(rb'boundary="([^"]+)"', mail(html="x", key="f" * 32).content)
        assert first != second


class TestBody:
    def test_can_be_text_alone(self) -> None:
        message = parsed(mail(text="Hi", html=None))
        assert (message.get_content_type(), content(message)) == ("text/plain", "Hi\n")

    def test_can_be_html_alone(self) -> None:
        message = parsed(mail(text=None, html="<p>Hi</p>"))
        assert (message.get_content_type(), content(message)) == ("text/html", "<p>Hi</p>\n")

    def test_has_the_html_last_because_it_is_the_better_alternative(self) -> None:
        message = parsed(mail(text="Hi", html="<p>Hi</p>"))
        assert message.get_content_type() == "multipart/alternative"
        assert [content(part) for part in message.iter_parts()] == ["Hi", "<p>Hi</p>"]

    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=2000))
    def test_arrives_as_it_was(self, text: str) -> None:
        payload = parsed(mail(text=text)).get_payload(decode=True)
        assert isinstance(payload, bytes)
        got = payload.decode("utf-8").replace("\r\n", "\n")
        assert got == (text if text.endswith("\n") else text + "\n")

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_may_be_written_with_any_line_ends(self, newline: str) -> None:
        assert b"\r\n\r\none\r\ntwo\r\n" in mail(text=f"one{newline}two{newline}").content

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("plain\ntext", "7bit"),
            ("x" * 998, "7bit"),
            ("x" * 999, "quoted-printable"),
            ("a \0 b", "quoted-printable"),
            ("Hej Åsa, välkommen till butiken!", "quoted-printable"),
            ("Привет, мир", "base64"),
            ("日本語", "base64"),
        ],
    )
    def test_is_encoded_as_plainly_as_it_can_be(self, text: str, encoding: str) -> None:
        message = parsed(mail(text=text))
        assert message["Content-Transfer-Encoding"] == encoding
        assert content(message) == text + "\n"

    @pytest.mark.parametrize("text", ["Hej Åsa, " * 200, "日本語" * 500])
    def test_encoded_lines_are_no_longer_than_76(self, text: str) -> None:
        body = mail(text=text).content.partition(b"\r\n\r\n")[2]
        assert max(map(len, body.split(b"\r\n"))) <= 76

    def test_loses_only_half_characters(self) -> None:
        assert content(parsed(mail(text="a\ud800b å"))) == "a?b å\n"


class TestRecipient:
    @pytest.mark.parametrize(
        ("to", "name", "address"),
        [
            ("bruce@example.com", "", "bruce@example.com"),
            (" bruce@example.com\n", "", "bruce@example.com"),
            ("<bruce@example.com>", "", "bruce@example.com"),
            ("Bruce Lee <bruce@example.com>", "Bruce Lee", "bruce@example.com"),
            ('"Lee, Bruce" <bruce@example.com>', "Lee, Bruce", "bruce@example.com"),
            ("Lee, Bruce <bruce@example.com>", "Lee, Bruce", "bruce@example.com"),
            (
                'Bruce "the \\ Dragon" Lee <bruce@example.com>',
                'Bruce "the \\ Dragon" Lee',
                "bruce@example.com",
            ),
            ("bruce@example.com <bruce@example.com>", "bruce@example.com", "bruce@example.com"),
            ("Åsa Öberg <asa@example.com>", "Åsa Öberg", "asa@example.com"),
            ("山田 太郎" * 12 + " <t@example.com>", "山田 太郎" * 12, "t@example.com"),
            ("x " * 80 + "<t@example.com>", ("x " * 80).strip(), "t@example.com"),
            ("Åsa <asa@bücher.example.com>", "Åsa", "asa@xn--bcher-kva.example.com"),
            ("first.last+tag@sub.example.co.uk", "", "first.last+tag@sub.example.co.uk"),
            ("o'neil@example.com", "", "o'neil@example.com"),
            ("x@shop.test", "", "x@shop.test"),
            ("A <<a@example.com>", "A <", "a@example.com"),
            ("x>y<z <a@example.com>", "x>y<z", "a@example.com"),
            ("Bruce\r\nLee <a@example.com>", "Bruce Lee", "a@example.com"),
            ("A\r\nBcc: evil@example.com <a@example.com>", "A Bcc: evil@example.com", "a@example.com"),
            ("Bruce <b@example.com> <a@example.com>", "Bruce <b@example.com>", "a@example.com"),
            ('"a, b@example.com, c" <a@example.com>', "a, b@example.com, c", "a@example.com"),
            ("\u2028\x85Lee\x7f <a@example.com>", "Lee", "a@example.com"),
            ("n" * 999 + " <a@example.com>", "n" * 199 + "…", "a@example.com"),
            ('"plain"@example.com', "", "plain@example.com"),
            ('"a b"@example.com', "", '"a b"@example.com'),
            ('Bruce <"a@b"@example.com>', "Bruce", '"a@b"@example.com'),
            ('Bruce <"a<b>c"@example.com>', "Bruce", '"a<b>c"@example.com'),
            ('x <"a\\"b"@example.com>', "x", '"a\\"b"@example.com'),
        ],
    )
    def test_is_one_address_perhaps_with_a_name(self, to: str, name: str, address: str) -> None:
        composed = mail(to=to)
        (shown,) = parsed(composed)["To"].addresses
        assert composed.recipient == shown.addr_spec == address
        assert name_of(composed, "To") == name

    def test_may_have_a_local_part_beyond_ascii_in_utf_8(self) -> None:
        composed = mail(to="Åsa <åsa@bücher.example.com>")
        assert composed.recipient == "åsa@xn--bcher-kva.example.com"
        assert "<åsa@xn--bcher-kva.example.com>".encode() in composed.content

    @pytest.mark.parametrize(
        "to",
        [
            "", "  ", "bruce", "bruce@", "@example.com", "bruce@localhost", "bruce@@example.com", "a@b.co, c@d.co",
            "a@b.co c@d.co", "a@b.co;c@d.co", "A <a@b.co>, C <c@d.co>", "a@b.co, C <c@d.co>", "A <a@b.co> C",
            "<>", "A <>", "a@b..co", "A <a@b.co>\r\nC <c@d.co>", ".a@b.co", "a..b@b.co", "a@-b.co", "a@b.co.",
            "a@[127.0.0.1]", '"a b@b.co', '"a"b"@b.co', '"a\nb"@b.co', '"a\\"@b.co', '"' + "x " * 33 + '"@b.co',
            "a@b.co\r\nBcc: x@y.co", "a\0@b.co", "x" * 65 + "@b.co", "a@" + "b" * 64 + ".co",
            "undisclosed: a@b.co;", "a@b.co (Bruce)", "\ud800@b.co", "a@b.co>",
        ],
    )  # fmt: skip
    def test_is_refused_for_what_is_not_one_address(self, to: str) -> None:
        with pytest.raises(RenderFailed, match="`to`") as caught:
            mail(to=to)
        assert caught.value.message.isprintable()

    def test_a_sender_is_held_to_the_same(self) -> None:
        with pytest.raises(RenderFailed, match="`from`"):
            Letterhead.of("Shop")
        with pytest.raises(RenderFailed, match="`reply_to`"):
            Letterhead.of("a@b.co", "a@b.co, c@d.co")


@pytest.mark.parametrize("to", ["a@example.com\r\nRCPT TO:<evil@example.com>", "a@example.com\n<evil@example.com>"])
def test_an_address_on_several_lines_is_no_address(to: str) -> None:
    from caravan.channels.mailbox import parse_mailbox

    with pytest.raises(RenderFailed, match="one line"):
        parse_mailbox(to, "to")
