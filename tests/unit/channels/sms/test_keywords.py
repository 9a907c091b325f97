"""What recipients say, in several languages."""

import pytest

from caravan.channels.sms.keywords import Keyword, keyword_of


@pytest.mark.parametrize(
    "text",
    [
        "STOP", "stop.", " Stop! ", "\u202aSTOP\u202c", "«stop»", "Stopp", "STOPALL", "stop all", "Unsubscribe",
        "opt-out", "arrêt", "ARRET", "Arre\u0302t", "abmelden", "baja", "sluta", "stop sending me this", "STOP\r\n",
        "ＳＴＯＰ",
    ],
)  # fmt: skip
def test_stop(text: str) -> None:
    assert keyword_of(text) is Keyword.STOP


@pytest.mark.parametrize("text", ["START", "unstop", "Börja", "subscribe please", "opt in"])
def test_start(text: str) -> None:
    assert keyword_of(text) is Keyword.START


@pytest.mark.parametrize("text", ["help", "HJÄLP!", "info", "Hilfe?"])
def test_help(text: str) -> None:
    assert keyword_of(text) is Keyword.HELP


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "Yes", "please don't stop", "end of the week is fine", "Stop by tomorrow and we will have a look",
        "starting when?", "helpful, thanks", "stop" * 30, "STOP " + "x" * 10_000, "\0", "🛑",
    ],
)  # fmt: skip
def test_what_asks_for_nothing(text: str) -> None:
    assert keyword_of(text) is None
