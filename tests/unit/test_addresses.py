"""Only public addresses are ever connected to, however they are written and whatever DNS answers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from aiohttp import ClientError, ClientSession, web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from caravan.addresses import GuardedResolver, check_url, connector, is_public, redacted, was_refused
from caravan.errors import AddressRefused, InvalidInput

REFUSED = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.255 168.63.129.16
    169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1
    198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1
    255.255.255.255 :: ::1 ::7f00:1 ::10.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
    ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1
    2001:0:4136:e378::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808::1 3fff::1 5f00::1
    fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
"""
PUBLIC = """
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
    168.63.129.17 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255
    198.20.0.0 223.255.255.255 2001:200::1 2001:4860:4860::8888 2606:4700::1111 2a00:1450:4001::1
    ::ffff:8.8.8.8 64:ff9b::808:808
"""
SPELLINGS = """
    127.0.0.1 127.0.0.1. 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 0x7f.0.0.1 017700000001 0177.0.0.1 0
    0x0 ①②⑦.0.0.1 127。0。0。1 [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:0:0:1] [::1%25lo]
    [fe80::1%25eth0] 169.254.169.254 [fd00:ec2::254] [64:ff9b::7f00:1] u:p@127.0.0.1
"""


class Names(AbstractResolver):
    """A resolver with scripted answers: the next of `answers` at each question, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0) for each in addresses
        ]

    async def close(self) -> None: ...


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """A private service that must not be reached; it counts who did."""
    app = web.Application()
    app["visits"] = []

    async def visit(request: web.Request) -> web.Response:
        app["visits"].append(request.path)
        return web.Response(text="secret")

    app.router.add_route("*", "/{path:.*}", visit)
    async with TestServer(app, host="127.0.0.1") as running:
        yield running


@pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")
class TestConnector:
    async def test_dials_a_private_address_only_when_allowed(self, server: TestServer) -> None:
        async with ClientSession(connector=connector(allow_private=True, limit=1)) as session:
            assert (await session.get(f"http://127.0.0.1:{server.port}/")).status == 200

    @pytest.mark.parametrize("spelling", SPELLINGS.split())
    async def test_never_dials_an_address_in_the_url_itself(self, server: TestServer, spelling: str) -> None:
        async with ClientSession(connector=connector(allow_private=False, limit=1)) as session:
            with pytest.raises((ClientError, AddressRefused, OSError)):
                await session.get(f"http://{spelling}:{server.port}/")
        assert server.app["visits"] == []

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"])
    async def test_says_that_it_was_refused(self, host: str) -> None:
        async with ClientSession(connector=connector(allow_private=False, limit=1)) as session:
            with pytest.raises(ClientError) as caught:
                await session.get(f"http://{host}:9/")
        assert was_refused(caught.value)

    async def test_refuses_a_name_that_has_only_private_addresses(self, server: TestServer) -> None:
        names = Names(["127.0.0.1", "::1"])
        async with ClientSession(connector=connector(allow_private=False, limit=1, resolver=names)) as session:
            with pytest.raises(AddressRefused):
                await session.get(f"http://inside.example.com:{server.port}/")
        assert server.app["visits"] == []

    async def test_is_not_fooled_by_a_resolver_that_answers_otherwise_when_dialling(self) -> None:
        """Each address is judged in the moment in which it is dialled, not by what an earlier question found."""
        names = Names(["127.0.0.1"])
        guarded = connector(allow_private=False, limit=1, resolver=names)
        guarded._resolver = names  # as if the check of answers were not there at all
        async with ClientSession(connector=guarded) as session:
            with pytest.raises(ClientError) as caught:
                await session.get("http://rebound.example.com:9/")
        assert names.asked == 1
        assert was_refused(caught.value)

    async def test_refuses_at_dialling_what_is_not_a_canonical_address(self) -> None:
        names = Names(["2130706433"])
        guarded = connector(allow_private=False, limit=1, resolver=names)
        guarded._resolver = names
        async with ClientSession(connector=guarded) as session:
            with pytest.raises(ClientError) as caught:
                await session.get("http://odd.example.com:9/")
        assert was_refused(caught.value)

    async def test_a_label_that_is_too_long_is_a_name_that_is_not_found(self) -> None:
        async with ClientSession(connector=connector(allow_private=False, limit=1)) as session:
            with pytest.raises(ClientError):
                await session.get(f"http://{'a' * 64}.example.com/")


class TestGuardedResolver:
    async def test_drops_the_private_addresses_of_a_mixed_answer(self) -> None:
        found = await GuardedResolver(Names(["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111"])).resolve("x", 80)
        assert [each["host"] for each in found] == ["8.8.8.8", "2606:4700::1111"]

    async def test_an_answer_without_addresses_is_a_name_that_is_not_found(self) -> None:
        with pytest.raises(OSError):
            await GuardedResolver(Names([])).resolve("x", 80)

    async def test_asks_anew_each_time(self) -> None:
        resolver = GuardedResolver(Names(["8.8.8.8"], ["127.0.0.1"]))
        assert await resolver.resolve("x", 80)
        with pytest.raises(AddressRefused, match="x has no public address"):
            await resolver.resolve("x", 80)


class TestIsPublic:
    @pytest.mark.parametrize("address", REFUSED.split())
    def test_refuses(self, address: str) -> None:
        assert not is_public(ip_address(address))

    @pytest.mark.parametrize("address", PUBLIC.split())
    def test_accepts(self, address: str) -> None:
        assert is_public(ip_address(address))


class TestCheckUrl:
    @pytest.mark.parametrize("host", SPELLINGS.split())
    def test_refuses_a_private_address_in_every_spelling(self, host: str) -> None:
        with pytest.raises(AddressRefused):
            check_url(f"http://{host}/", allow_private=False)

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.1.2.3"])
    def test_accepts_them_when_allowed(self, host: str) -> None:
        assert check_url(f"http://{host}/x", allow_private=True).path == "/x"

    @pytest.mark.parametrize(
        "url",
        [
            "", "x", "//example.com/x", "ftp://example.com/x", "file:///etc/passwd", "http:///x", "http://",
            "http://[::1/", "http://example.com:99999/", "http://example.com:0/", "javascript:alert(1)",
            "gopher://127.0.0.1:25/", "http+unix://%2Fvar%2Frun%2Fdocker.sock/x", "https:example.com",
            "http://evil\\@example.com/",
        ],
    )  # fmt: skip
    def test_takes_http_and_https_with_a_host_only(self, url: str) -> None:
        with pytest.raises(InvalidInput):
            check_url(url, allow_private=True)

    def test_says_nothing_of_the_url_which_may_be_secret(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            check_url("ftp://user:secret@example.com/?sig=secret", allow_private=False)
        assert "secret" not in caught.value.message

    def test_keeps_a_signature_octet_for_octet(self) -> None:
        url = "https://bucket.example.com/a%2Fb/c%20d?X-Sig=ab%2Fc%3D%7e+x&acl=/*~hmac=1"
        assert str(check_url(url, allow_private=False)) == url

    def test_repairs_spaces_and_letters_beyond_ascii(self) -> None:
        checked = check_url(" https://bücher.example.com/å b ", allow_private=False)
        assert str(checked) == "https://xn--bcher-kva.example.com/%C3%A5%20b"


class TestRedacted:
    def test_shows_neither_user_nor_password_nor_query_nor_fragment(self) -> None:
        shown = redacted("https://user:secret@files.example.com:8443/a/b.ndjson?X-Amz-Signature=secret#secret")
        assert shown == "https://files.example.com:8443/a/b.ndjson"

    @pytest.mark.parametrize("url", ["http://[secret", "http://x:secret/"])
    def test_shows_nothing_of_what_it_can_not_read(self, url: str) -> None:
        assert redacted(url) == "the given address"


async def test_two_addresses_of_which_one_is_private_reach_the_public_one_only() -> None:
    dialled = []

    class Recorder(asyncio.SelectorEventLoop):
        async def sock_connect(self, sock: socket.socket, address: object) -> None:
            dialled.append(address)
            raise OSError("no network in tests")

    def run() -> None:
        loop = Recorder()

        async def call() -> None:
            names = Names(["127.0.0.1", "8.8.8.8"])
            async with ClientSession(connector=connector(allow_private=False, limit=1, resolver=names)) as s:
                with pytest.raises(ClientError):
                    await s.get("http://mixed.example.com:9/")

        try:
            loop.run_until_complete(call())
        finally:
            loop.close()

    await asyncio.to_thread(run)
    assert dialled == [("8.8.8.8", 9)]
