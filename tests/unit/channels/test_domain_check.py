"""What is well and what to mend of a domain, asked of a nameserver on loopback."""

import asyncio
import json
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from caravan.channels.domain.check import address_of, check_domain, domain_of
from caravan.channels.domain.dkim import rsa_bits
from caravan.channels.domain.dmarc import names_up
from caravan.channels.domain.finding import Finding, Verdict
from caravan.channels.domain.lookups import Lookups, nameserver_of
from caravan.errors import WrongUsage
from tests.nameserver import Zone, nameserver

WELL, BETTER, MEND = Verdict.WELL, Verdict.BETTER, Verdict.MEND


def quoted(text: str) -> str:
    """A TXT record, in strings of at most 255 octets."""
    return " ".join(f'"{text[start : start + 250]}"' for start in range(0, len(text), 250))


def zone(**changes: list[str]) -> Zone:
    """A domain that is well; `changes` are of its TXT records: spf, dmarc, key."""
    txt = {"spf": ["v=spf1 ip4:192.0.2.0/24 -all"], "dmarc": ["v=DMARC1; p=reject; rua=mailto:d@shop.test"]}
    txt |= {"key": [f"v=DKIM1; k=rsa; p={rsa_key(2048)}"]} | changes
    names = {"spf": "shop.test", "dmarc": "_dmarc.shop.test", "key": "s1._domainkey.shop.test"}
    made: Zone = {(names[each], "TXT"): list(map(quoted, records)) for each, records in txt.items() if records}
    made |= {("shop.test", "MX"): ["10 mx.shop.test."], ("mx.shop.test", "A"): ["192.0.2.1"]}
    made |= {("1.2.0.192.in-addr.arpa", "PTR"): ["mx.shop.test."]}
    return made


def rsa_key(bits: int, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> str:
    key = rsa.generate_private_key(65537, bits).public_key()
    return b64encode(key.public_bytes(Encoding.DER, form)).decode()


async def look(zone: Zone, address: str = "192.0.2.1", domain: str = "shop.test") -> list[Finding]:
    async with nameserver(zone) as server:
        lookups = Lookups(nameserver_of(server.address), 2)
        return await check_domain(lookups, domain, ["s1"], [address_of(address)])


def of(found: list[Finding], about: str, verdict: Verdict) -> str:
    """The sentences of one kind."""
    return " ".join(each.sentence for each in found if (each.about, each.verdict) == (about, verdict))


async def test_a_domain_that_is_well_has_nothing_to_mend() -> None:
    found = await look(zone())
    assert {each.verdict for each in found} == {WELL}
    assert {each.about for each in found} == {"SPF", "DKIM", "DMARC", "MX", "PTR"}
    assert "lets 192.0.2.1 send" in of(found, "SPF", WELL)
    assert "RSA with 2048 bits" in of(found, "DKIM", WELL)
    assert "called mx.shop.test, which leads back" in of(found, "PTR", WELL)


@pytest.mark.parametrize(
    ("records", "verdict", "words"),
    [
        ([], MEND, "has no SPF record"),
        (["v=spf1 -all", "v=spf1 a -all"], MEND, "has 2 SPF records"),
        (["v=spf10 -all"], MEND, "has no SPF record"),
        (["v=spf1 +all"], MEND, "anyone may send"),
        (["v=spf1 all"], MEND, "anyone may send"),
        (["v=spf1 ip4:192.0.2.1 ?all"], BETTER, "says nothing of others"),
        (["v=spf1 ip4:192.0.2.1"], BETTER, "does not say what of all others"),
        (["v=spf1 -all ip4:192.0.2.1"], MEND, "What follows all"),
        (["v=spf1 ip4:192.0.2.300 -all"], MEND, "is no network"),
        (["v=spf1 ip6:192.0.2.1 -all"], MEND, "no network of its kind"),
        (["v=spf1 ipv4:192.0.2.1 -all"], MEND, "which SPF does not have"),
        (["v=spf1 include -all"], MEND, "can't be read at 'include'"),
        (["v=spf1 ip4:192.0.2.1 ptr -all"], BETTER, "not to be used"),
        (["v=spf1 include:nowhere.test -all"], MEND, "leads to nowhere.test, which has none"),
        (["v=spf1 include:shop.test -all"], MEND, "in a circle"),
        (["v=spf1 a:x1.test a:x2.test a:x3.test ip4:192.0.2.1 -all"], MEND, "3 names"),
        (["v=spf1 ip4:198.51.100.0/24 -all"], MEND, "does not let 192.0.2.1 send (fail)"),
        (["v=spf1 mx:shop.test/24 ~all"], WELL, "ends with ~all"),
        (["v=spf1 a:mx.shop.test -all"], WELL, "lets 192.0.2.1 send"),
        (["v=spf1 exists:%{i}.x.test ip4:192.0.2.1 -all"], WELL, "needs 1 of 10 lookups"),
    ],
)
async def test_spf(records: list[str], verdict: Verdict, words: str) -> None:
    assert words in of(await look(zone(spf=records)), "SPF", verdict)


@pytest.mark.parametrize(("inner", "verdict"), [(8, WELL), (9, MEND)])
async def test_lookups_are_counted_through_includes_and_redirects(inner: int, verdict: Verdict) -> None:
    made = zone(spf=["v=spf1 include:a.test redirect=b.test"])
    made["a.test", "TXT"] = [quoted("v=spf1 " + " ".join(["a:mx.shop.test"] * inner) + " -all")]
    made["b.test", "TXT"] = [quoted("v=spf1 ip4:192.0.2.1 -all")]
    found = await look(made)
    assert f"needs {inner + 2} " in of(found, "SPF", verdict)
    assert "lets 192.0.2.1 send" in of(found, "SPF", WELL)


async def test_dkim_keys_by_their_strength() -> None:
    for bits, verdict in ((2048, WELL), (1024, BETTER)):
        found = await look(zone(key=[f"k=rsa; p={rsa_key(bits)}"]))
        assert f"{bits} bits" in of(found, "DKIM", verdict)
    weak = bytes.fromhex("3048024100") + b"\xc1" * 64 + bytes.fromhex("0203010001")  # 512 bits
    assert rsa_bits(weak) == 512
    assert "has 512 bits" in of(await look(zone(key=[f"p={b64encode(weak).decode()}"])), "DKIM", MEND)
    key = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert "is ed25519" in of(await look(zone(key=[f"k=ed25519; p={b64encode(key).decode()}"])), "DKIM", WELL)


@pytest.mark.parametrize(
    ("records", "verdict", "words"),
    [
        ([], MEND, "There is no DKIM key at s1._domainkey.shop.test"),
        (["v=DKIM1; p="], MEND, "is revoked"),
        (["v=DKIM1; k=rsa"], MEND, "has no key (p=)"),
        (["v=DKIM1; p=AAAA"], MEND, "p= can't be read"),
        (["v=DKIM1; p=!"], MEND, "p= can't be read"),
        (["v=DKIM1; k=ed25519; p=AAAA"], MEND, "it has 3 octets"),
        (["v=DKIM1; k=dsa; p=AAAA"], MEND, "of the kind 'dsa'"),
        (["v=DKIM2; p=AAAA"], MEND, "has to begin with v=DKIM1"),
        (["v=DKIM1; p=A; p=B"], MEND, "can't be read at 'p=B'"),
        (["v=DKIM1; p=A", "v=DKIM1; p=B"], MEND, "There are 2 records"),
        ([f"v=DKIM1; h=sha1; p={rsa_key(2048)}"], MEND, "does not allow sha256"),
        ([f"v=DKIM1; t=y:s; p={rsa_key(2048, PublicFormat.PKCS1)}"], BETTER, "it is a test"),
    ],
)
async def test_dkim(records: list[str], verdict: Verdict, words: str) -> None:
    assert words in of(await look(zone(key=records)), "DKIM", verdict)


@pytest.mark.parametrize(
    ("records", "verdict", "words"),
    [
        ([], MEND, "No DMARC record holds for shop.test"),
        (["v=DMARC1; p=none; rua=mailto:d@shop.test"], BETTER, "asks for nothing (p=none)"),
        (["v=DMARC1; p=quarantine"], BETTER, "no place for reports"),
        (["v=DMARC1; p=reject; rua=https://shop.test"], MEND, "which is no mailto: address"),
        (["v=DMARC1; rua=mailto:d@shop.test"], BETTER, "has no policy (p=)"),
        (["v=DMARC1; p=block"], MEND, "has no policy that receivers know"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], MEND, "There are 2 DMARC records"),
        (["v=dmarc1; p=none"], MEND, "in these letters"),
        (["v=DMARC1; p=reject; pct=50; rua=mailto:d@shop.test"], BETTER, "has pct=, which RFC 9989 has dropped"),
        (["v=DMARC1; p=reject; t=y; rua=mailto:d@shop.test"], BETTER, "says that it is a test"),
        (["v=DMARC1; p=reject; adkim=x"], MEND, "has adkim=x"),
        (["v=DMARC1; p=reject; adkim=s"], WELL, "d=shop.test exactly"),
    ],
)
async def test_dmarc(records: list[str], verdict: Verdict, words: str) -> None:
    assert words in of(await look(zone(dmarc=records)), "DMARC", verdict)


async def test_a_subdomain_has_the_policy_of_its_organizational_domain() -> None:
    made = zone(dmarc=["v=DMARC1; p=reject; sp=none; rua=mailto:d@shop.test"])
    made["_dmarc.test", "TXT"] = [quoted("v=DMARC1; p=reject; psd=y")]
    found = await look(made, domain="news.eu.shop.test")
    assert "_dmarc.shop.test asks for nothing (sp=none)" in of(found, "DMARC", BETTER)
    assert names_up("a.b.c.d.e.f.g.h.shop.test")[:2] == ["a.b.c.d.e.f.g.h.shop.test", "d.e.f.g.h.shop.test"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({("shop.test", "MX"): ["0 ."]}, "takes no mail (null MX"),
        ({("shop.test", "MX"): []}, "has neither MX nor address"),
        ({("mx.shop.test", "A"): []}, "mx.shop.test, has no address"),
    ],
)
async def test_mx(changes: Zone, words: str) -> None:
    assert words in of(await look(zone() | changes), "MX", MEND)


async def test_ptr() -> None:
    assert "has no name (PTR)" in of(await look(zone(), "192.0.2.9"), "PTR", MEND)
    other = zone() | {("1.2.0.192.in-addr.arpa", "PTR"): ["host.test."]}
    assert "which does not lead back to it" in of(await look(other), "PTR", MEND)


async def test_what_the_dns_does_not_answer_is_told_and_the_rest_is_looked_at() -> None:
    made = zone(spf=["v=spf1 include:spf.broken -all"])
    found = await look(made)
    assert "The DNS did not answer for TXT of spf.broken" in of(found, "SPF", MEND)
    assert of(found, "MX", WELL)


async def test_what_a_record_holds_does_nothing_to_the_terminal() -> None:
    found = await look(zone(spf=["v=spf1 include:\\027[31mx.test -all"]))
    assert "leads to  [31mx.test, which has none" in of(found, "SPF", MEND)
    assert all(each.sentence.isprintable() for each in found)


@pytest.mark.parametrize("text", ["", "localhost", "you@example.com", "a..b", "-a.com", "x" * 64 + ".com", "a b.com"])
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(WrongUsage, match="is no domain"):
        domain_of(text)


def test_domains_and_nameservers_as_they_are_written() -> None:
    assert domain_of(" Bücher.Example. ") == "xn--bcher-kva.example"
    assert nameserver_of("127.0.0.1") == ("127.0.0.1", 53)
    assert nameserver_of("[::1]:5353") == ("::1", 5353)
    assert nameserver_of("::1") == ("::1", 53)
    for wrong in ("dns.test:53", "127.0.0.1:x", "127.0.0.1:0", "127.0.0.1:70000", ""):
        with pytest.raises(WrongUsage, match="A nameserver is an address"):
            nameserver_of(wrong)


async def test_the_command_ends_with_1_if_something_has_to_be_mended() -> None:
    from caravan.cli.commands import app

    def run(place: str, *words: str) -> tuple[int, str]:
        options = ["--selector", "s1", "--address", "192.0.2.1", "--nameserver", place]
        made = CliRunner().invoke(app, ["channels", "check", "shop.test", *options, *words])
        return made.exit_code, made.stdout

    async with nameserver(zone()) as server:
        code, out = await asyncio.to_thread(run, server.address)
        assert (code, "mend" in out) == (0, False)
        assert "DKIM   well    The DKIM key at s1._domainkey.shop.test is RSA" in out
    async with nameserver(zone(spf=["v=spf1 +all"])) as server:
        code, out = await asyncio.to_thread(run, server.address, "--json")
        told = json.loads(out)
        assert (code, told["domain"], told["mend"]) == (1, "shop.test", 1)
        assert {"SPF", "DKIM", "DMARC", "MX", "PTR"} == {each["about"] for each in told["findings"]}
