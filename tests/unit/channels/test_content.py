"""The body of a mail: what is remembered of earlier ones changes nothing."""

import binascii

from hypothesis import example, given
from hypothesis import strategies as st

from caravan.channels.content import BodyWriter

Line = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \t.=\0ab-å\x0b\x85\u2028"), max_size=90)
LONG = "å" + "x" * 1_200


def whole(text: str) -> bytes:
    """Quoted-printable of all of it at once, as the standard library has it."""
    octets = text.replace("\r\n", "\n").replace("\r", "\n").encode()
    octets = octets if octets.endswith(b"\n") else octets + b"\n"
    return binascii.b2a_qp(octets, istext=True).replace(b"\n", b"\r\n")


@given(mails=st.lists(st.lists(Line | st.just(LONG), max_size=6).map("\n".join), max_size=6))
@example(["å.\n.\n. \n.a\n", "å \n \t\n" + "=" * 30, "å" + "x" * 73 + "\nå" + "x" * 74 + ".\n." + "x" * 76])
def test_quoted_printable_line_by_line_is_that_of_the_whole_text(mails: list[str]) -> None:
    writer = BodyWriter(lines=2)
    for _ in range(2):
        for text in mails:
            head, _, content = writer.body(text, None, "x").partition(b"\r\n\r\n")
            if head.endswith(b"quoted-printable"):
                assert content == whole(text)


def test_a_writer_remembers_no_more_lines_than_it_was_told_and_no_long_one() -> None:
    writer = BodyWriter(lines=10)
    for number in range(20):
        assert b"=C3=A5 %d\r\n" % number in writer.body(
            f"å {number}\n{LONG}{number}\nto keep it plain enough", None, "x"
        )
        assert writer._remembered.cache_info().currsize <= 10
    remembered = writer._remembered.cache_info().currsize
    writer.body(f"{LONG} another one", None, "x")
    assert writer._remembered.cache_info().currsize == remembered == 10
