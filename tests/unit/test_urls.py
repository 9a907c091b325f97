"""A URL is asked for octet for octet as it was given; only what can't stand in a request is encoded."""

import string
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caravan.channels.webhook import Call, WebhookChannel
from caravan.delivery.result import Result
from caravan.intake.download import download
from caravan.urls import as_asked, follow
from tests.examples import many
from tests.unit.intake.origin import Origin, running, says

LEGAL = string.ascii_letters + string.digits + "-._~:/@!$&'()*+,;=[]"
ESCAPES = st.sampled_from(["%27", "%2F", "%2f", "%3F", "%25", "%20", "%7e", "%C3%BC", "%FF", "%", "%zz"])
PLAIN = st.text(LEGAL, max_size=5)
ODD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="?#"), max_size=5)
PIECES = st.lists(ESCAPES | PLAIN | ODD, max_size=8).map("".join)
TARGETS = st.tuples(PIECES, st.none() | PIECES)
EXAMPLES = [
    ("/künde%27.txt?sig=a%2Fb", "/k%C3%BCnde%27.txt?sig=a%2Fb"),
    ("/a b'c?d=\"<>`{}|\\^", "/a%20b'c?d=%22%3C%3E%60%7B%7D%7C%5C%5E"),
    ("//a//../b/.?x=+&y=%7e;z", "//a//../b/.?x=+&y=%7e;z"),
    ("?sig=1", "/?sig=1"),
    ("/a?", "/a?"),
    ("/a?b?c=[]&d=😀", "/a?b?c=[]&d=%F0%9F%98%80"),
    ("/100%.txt", "/100%.txt"),
    ("", "/"),
]


def with_legal_kept(target: str) -> str:
    """The definition, written another way: octet by octet."""
    octets = target.encode()
    return "".join(chr(each) if chr(each) in LEGAL + "%?" else f"%{each:02X}" for each in octets)


@given(TARGETS)
@settings(max_examples=many(500), deadline=None)
def test_legal_octets_and_escapes_stay_and_all_others_are_encoded(target: tuple[str, str | None]) -> None:
    path, query = target
    given_target = f"/{path}" + ("" if query is None else f"?{query}")
    stripped = f"http://h{given_target}".strip().removeprefix("http://h")
    asked = as_asked(f"http://h{given_target}")
    assert asked.raw_path_qs == with_legal_kept(stripped)
    assert unquote_to_bytes(asked.raw_path_qs) == unquote_to_bytes(stripped)
    assert as_asked(str(asked)).raw_path_qs == asked.raw_path_qs


@given(TARGETS)
@settings(max_examples=many(200), deadline=None)
def test_a_redirect_keeps_them_too(target: tuple[str, str | None]) -> None:
    path, query = target
    location = f"/x{path}" + ("" if query is None else f"?{query}")
    wanted = with_legal_kept(f"|{location}".strip()[1:])
    for reference in (f"http://h{location}", f"//h{location}", location):
        assert follow(as_asked("http://h/old?q"), reference).raw_path_qs == wanted


@pytest.mark.parametrize(
    ("location", "meant"),
    [  # RFC 3986 §5.4, where it says nothing of dots in absolute paths
        ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"), ("/g", "http://a/g"),
        ("//g", "http://g/"), ("?y", "http://a/b/c/d;p?y"), ("g?y", "http://a/b/c/g?y"), ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"), (";x", "http://a/b/c/;x"), ("g;x?y#s", "http://a/b/c/g;x?y"), ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"), ("..", "http://a/b/"), ("../g", "http://a/b/g"), ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"), ("g..", "http://a/b/c/g.."), ("./g/.", "http://a/b/c/g/"), ("g/../h", "http://a/b/c/h"),
        ("g?y/../x", "http://a/b/c/g?y/../x"), ("g//h%2F?s=a%2Fb'", "http://a/b/c/g//h%2F?s=a%2Fb'"),
    ],
)  # fmt: skip
def test_a_reference_is_resolved(location: str, meant: str) -> None:
    assert str(follow(as_asked("http://a/b/c/d;p?q"), location)) == meant


@pytest.mark.parametrize("location", ["http:x", "javascript:x", "//", "http://", "http://[", "mailto:a@b"])
def test_a_reference_to_no_server_is_refused(location: str) -> None:
    with pytest.raises(ValueError):
        follow(as_asked("http://a/b"), location)


def test_host_and_password_mean_what_they_meant() -> None:
    asked = as_asked("HTTP://anna:p%2Fü@Bücher.Example:81/x#fragment")
    assert (asked.scheme, asked.raw_host, asked.explicit_port) == ("http", "xn--bcher-kva.example", 81)
    assert (asked.user, asked.password) == ("anna", "p/ü")
    assert str(asked).endswith("/x")


def test_octets_of_a_location_that_are_not_utf8_are_sent_as_they_are() -> None:
    location = b"/caf\xe9?x=\xff".decode("utf-8", "surrogateescape")
    assert follow(as_asked("http://h/"), location).raw_path_qs == "/caf%E9?x=%FF"


@pytest.mark.parametrize(("target", "asked"), EXAMPLES)
class TestOnTheWire:
    async def test_a_download_asks_for_it(self, target: str, asked: str, tmp_path: Path) -> None:
        origin = Origin(says("200 OK", b"x"))
        async with running(origin) as url:
            await _download(url + target, tmp_path)
        assert origin.requests[0].target == asked

    async def test_a_redirect_leads_to_it(self, target: str, asked: str, tmp_path: Path) -> None:
        origin = Origin(says("302 Over there"), says("200 OK", b"x"))
        async with running(origin) as url:
            origin.answers[0] = says("302 Over there", Location=url + target)
            await _download(f"{url}/start", tmp_path)
        assert origin.requests[1].target == asked

    async def test_a_webhook_calls_it(self, target: str, asked: str) -> None:
        origin = Origin(says("200 OK"))
        async with running(origin) as url, WebhookChannel(allow_private=True) as channel:
            sent = await channel.send(Call("GET", url + target, {}, b"", "key"))
        assert sent.result is Result.SENT
        assert origin.requests[0].target == asked


async def _download(url: str, folder: Path) -> None:
    await download(url, folder / "file", allow_private=True, max_bytes=99, timeout=5, retry_delay=1, attempts=1)
