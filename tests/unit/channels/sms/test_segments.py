"""Segments are counted as phones and gateways count them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caravan.channels.sms.segments import BASIC, EXTENSION, GSM, UCS2, size_of

# 3GPP TS 23.038 §6.2.1, read column by column: positions 0x00 to 0x7F without the escape at 0x1B.
COLUMNS = [
    "@Δ 0¡P¿p", "£_!1AQaq", '$Φ"2BRbr', "¥Γ#3CScs", "èΛ¤4DTdt", "éΩ%5EUeu", "ùΠ&6FVfv", "ìΨ'7GWgw",
    "òΣ(8HXhx", "ÇΘ)9IYiy", "\nΞ*:JZjz", "Ø\x1b+;KÄkä", "øÆ,<LÖlö", "\ræ-=MÑmñ", "Åß.>NÜnü", "åÉ/?O§oà",
]  # fmt: skip


def test_the_alphabet_is_that_of_the_standard() -> None:
    standard = "".join(row[column] for column in range(8) for row in COLUMNS).replace("\x1b", "")
    assert sorted(BASIC) == sorted(standard)
    assert len(set(BASIC)) == 127
    assert sorted(EXTENSION) == sorted("\f^{}\\[~]|€")


@pytest.mark.parametrize(
    ("text", "segments", "encoding"),
    [
        ("a" * 160, 1, GSM),
        ("a" * 161, 2, GSM),
        ("a" * 306, 2, GSM),
        ("a" * 307, 3, GSM),
        ("€" * 80, 1, GSM),
        ("€" * 81, 2, GSM),
        ("€" * 152, 2, GSM),  # 76 in each: an escape is not parted from its letter, so a unit stays unused
        ("€" * 153, 3, GSM),
        ("a" * 305 + "€", 3, GSM),
        ("ж" * 70, 1, UCS2),
        ("ж" * 71, 2, UCS2),
        ("ж" * 134, 2, UCS2),
        ("ж" * 135, 3, UCS2),
        ("😀" * 35, 1, UCS2),
        ("😀" * 36, 2, UCS2),
        ("😀" * 66, 2, UCS2),  # 33 in each: 67 is odd, and no pair of surrogates is cut
        ("😀" * 67, 3, UCS2),
    ],
)
def test_segments_at_their_limits(text: str, segments: int, encoding: str) -> None:
    size = size_of(text)
    assert (size.segments, size.encoding) == (segments, encoding)


def test_it_tells_which_character_costs_the_short_alphabet() -> None:
    assert size_of("Hello – you’re in").because == "– (U+2013)"
    assert size_of("Hello").because is None


@given(st.text(alphabet=st.sampled_from(BASIC + EXTENSION), max_size=700))
def test_no_segment_holds_more_than_it_can(text: str) -> None:
    units = len(text) + sum(each in EXTENSION for each in text)
    segments = size_of(text).segments
    assert segments >= (1 if units <= 160 else -(-units // 153))
    assert segments <= (1 if units <= 160 else -(-units // 152))


@given(st.text(min_size=1, max_size=300))
def test_any_text_can_be_counted(text: str) -> None:
    size = size_of(text)
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    if size.encoding == UCS2:
        assert size.segments >= (1 if units <= 70 else -(-units // 67))
        assert size.because is not None
