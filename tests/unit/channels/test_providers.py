"""Which provider a recipient has, by data files and the DNS."""

import asyncio
import time
from pathlib import Path

import pytest

from caravan.channels.mx import Directory, domain_of
from caravan.channels.providers import OTHER, Providers, read_providers
from caravan.errors import InvalidSetting
from tests.nameserver import Nameserver, Zone, nameserver

ZONE: Zone = {
    ("firm.biz", "MX"): ["10 aspmx.l.google.com.", "5 ALT1.ASPMX.L.GOOGLE.COM."],
    ("office.biz", "MX"): ["0 office-biz.mail.protection.outlook.com."],
    ("dane.biz", "MX"): ["10 dane-biz.x-v1.mx.microsoft."],
    ("own.biz", "MX"): ["10 mx.own.biz.", "90 aspmx.l.google.com."],
    ("none.biz", "A"): ["192.0.2.1"],
    ("null.biz", "MX"): ["0 ."],
    ("trick.biz", "MX"): ["10 google.com.evil.biz."],
    ("xn--frma-vpa.biz", "MX"): ["10 mx00.t-online.de."],
}


def directory(server: Nameserver, providers: Providers | None = None) -> Directory:
    host, _, port = server.address.partition(":")
    return Directory(providers or read_providers(), (host, int(port)))


async def test_the_preferred_mail_exchanger_tells_the_provider() -> None:
    async with nameserver(ZONE) as server:
        found = directory(server)
        addresses = {
            "a@gmail.com": "gmail",
            "a@firm.biz": "gmail",
            "A@FIRM.BIZ": "gmail",
            "Anna <a@office.biz>": "microsoft",
            "a@dane.biz": "microsoft",
            "a@own.biz": OTHER,
            "a@none.biz": OTHER,
            "a@null.biz": OTHER,
            "a@trick.biz": OTHER,
            "a@nowhere.biz": OTHER,
            "a@fírma.biz": "t-online",
            "a@example.com": OTHER,
            "": OTHER,
            "no address": OTHER,
            "a@" + "x" * 70 + ".biz": OTHER,
            "a@b\r\nc.biz": OTHER,
            "a@\0.biz": OTHER,
        }
        assert await found.of(addresses) == list(addresses.values())
        assert found.known("b@firm.biz") == "gmail"
        assert set(server.asked) == {name for name, _ in ZONE} | {"nowhere.biz"}
        await found.close()


async def test_each_domain_is_asked_once_until_its_time_is_over() -> None:
    now = 0.0
    async with nameserver(dict(ZONE)) as server:
        host, _, port = server.address.partition(":")
        found = Directory(read_providers(), (host, int(port)), lambda: now)
        for _ in range(3):
            await found.of(["a@firm.biz", "b@firm.biz", "c@nowhere.biz"])
        assert sorted(server.asked) == ["firm.biz", "nowhere.biz"]
        now = 301.0  # a TTL of 60 counts as 300; that there is no such domain, for 900
        server.zone["firm.biz", "MX"] = ["10 mx.icloud.com."]
        assert await found.of(["a@firm.biz", "c@nowhere.biz"]) == ["icloud", OTHER]
        assert server.asked.count("nowhere.biz") == 1
        await found.close()


async def test_a_dns_that_fails_or_is_silent_costs_no_more_than_seconds_and_then_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("caravan.channels.mx._SECONDS", 0.05)
    async with nameserver(ZONE) as server:
        found = directory(server)
        assert await found.of(["a@x.broken"]) == [OTHER]
        begun = time.monotonic()
        assert await found.of([f"a@{number}.silent" for number in range(100)]) == [OTHER] * 100
        assert time.monotonic() - begun < 4  # one after the other would take 5
        await asyncio.sleep(0.3)
        asked = len(server.asked)
        assert await found.of(["a@firm.biz"]) == [OTHER]
        assert len(server.asked) == asked
        await found.close()


def test_the_operators_file_goes_before_ours_member_by_member(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "gmail: {rate: 3000/min, connections: off}\nhouse: {mx: [mx.house.biz], tls: required}\nother: {rate: 10/s}\n"
    )
    found = read_providers(file)
    gmail, house = found.get("gmail"), found.get("house")
    assert (gmail.rate, gmail.connections, gmail.mails, gmail.mx[0]) == (50, None, 50, ".google.com")
    assert house.tls and found.of_host("mx.house.biz") == "house" and found.of_host("a.mx.house.biz.") == "house"
    assert found.of_host("notmx.house.biz") is None
    assert found.get(OTHER).rate == 10


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gmail: {rate: fast}", "line 1: gmail.rate should be a rate like 50/s"),
        ("gmail:\n  connections: -1", "line 2: gmail.connections should be a whole number over 0"),
        ("gmail:\n  rates: 1/s", "line 2: gmail has no member 'rates'; did you mean rate?"),
        ("gmail: {tls: maybe}", "gmail.tls should be required, or off"),
        ("house: {rate: 1/s}", "house has neither mx nor domains"),
        ("House!: {mx: [a.b]}", "is no name of a provider"),
        ("gmail: {mx: 'a b'}", "gmail.mx should be a list"),
        ("gmail: {mx: ['a b']}", "is no name of a host"),
        ("- gmail", "the file should be names with values below them"),
        ("gmail: [", "can't be used"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_by_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(InvalidSetting) as wrong:
        read_providers(file)
    assert problem in wrong.value.message


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="can't be read: No such file"):
        read_providers(tmp_path / "none.yaml")


def test_ours_can_be_read_and_no_ending_or_domain_stands_twice() -> None:
    known = list(read_providers())
    for names in ([each for p in known for each in p.mx], [each for p in known for each in p.domains]):
        assert len(names) == len(set(names))
    assert {"gmail", "microsoft", "yahoo", "icloud", "gmx", "t-online", "mail-ru"} <= {each.name for each in known}


def test_the_domain_of_an_address_is_as_the_dns_has_it() -> None:
    assert domain_of("Anna <A@Exämple.COM>") == "xn--exmple-cua.com"
