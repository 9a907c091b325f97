"""All that is looked at of a domain that sends mail."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address

import idna

from caravan.channels.domain.dkim import check_dkim
from caravan.channels.domain.dmarc import check_dmarc
from caravan.channels.domain.finding import Finding, Verdict
from caravan.channels.domain.lookups import Address, Lookups
from caravan.channels.domain.spf import check_spf
from caravan.channels.replies import one_line
from caravan.errors import Unavailable, WrongUsage

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_LONGEST_SENTENCE = 1_000  # characters; what a record holds is repeated in it
_LONGEST = 253  # RFC 1035 §2.3.4, as text


async def check_domain(lookups: Lookups, domain: str, selectors: list[str], addresses: list[Address]) -> list[Finding]:
    """What is well and what to mend, for mail from addresses of `domain` that leaves from `addresses`. What the DNS
    does not answer is a finding as well."""
    found: list[Finding] = []
    looks: list[tuple[str, Callable[[], Awaitable[list[Finding]]]]] = [
        ("SPF", lambda: check_spf(lookups, domain, addresses)),
        ("DKIM", lambda: check_dkim(lookups, domain, selectors)),
        ("DMARC", lambda: check_dmarc(lookups, domain)),
        ("MX", lambda: check_mx(lookups, domain)),
        ("PTR", lambda: check_ptr(lookups, addresses)),
    ]
    for about, look in looks:
        try:
            found += await look()
        except Unavailable as error:
            found.append(Finding(about, Verdict.MEND, f"{error.message} Receivers that see the same defer or refuse."))
    return [replace(each, sentence=one_line(each.sentence, _LONGEST_SENTENCE)) for each in found]


async def check_mx(lookups: Lookups, domain: str) -> list[Finding]:
    """Whether bounces and answers to addresses of the domain can arrive."""
    exchangers = await lookups.mx(domain)
    if not exchangers:
        if await lookups.addresses(domain):
            sentence = f"{domain} has no MX record; bounces and answers go to its own address. Publish an MX record."
            return [Finding("MX", Verdict.BETTER, sentence)]
        return [_mend(f"{domain} has neither MX nor address: bounces and answers can't arrive. Publish an MX record.")]
    if "." in exchangers:
        return [_mend(f"{domain} takes no mail (null MX, RFC 7505): bounces and answers can't arrive.")]
    lost = [each for each in exchangers if not await lookups.addresses(each)]
    found = [_mend(f"The MX of {domain}, {each}, has no address. It has to be the name of a host.") for each in lost]
    well = [each for each in exchangers if each not in lost]
    if well:
        found.append(Finding("MX", Verdict.WELL, f"Mail to {domain} goes to {', '.join(well)}."))
    return found


async def check_ptr(lookups: Lookups, addresses: list[Address]) -> list[Finding]:
    """Whether each address has a name that leads back to it."""
    return [await _check_address(lookups, each) for each in addresses]


async def _check_address(lookups: Lookups, address: Address) -> Finding:
    names = await lookups.names(address)
    if not names:
        sentence = (
            f"{address} has no name (PTR); large mailbox providers refuse its mail. Ask whoever gave you the address."
        )
        return Finding("PTR", Verdict.MEND, sentence)
    for name in names:
        if address in await lookups.addresses(name):
            return Finding("PTR", Verdict.WELL, f"{address} is called {name}, which leads back to it.")
    sentence = f"{address} is called {', '.join(names)}, which does not lead back to it. Give that name this address."
    return Finding("PTR", Verdict.MEND, sentence)


def domain_of(text: str) -> str:
    """A domain as it is asked for: in lower case and ASCII (IDNA). Raises `WrongUsage`."""
    name = text.strip().lower().rstrip(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise WrongUsage(f"{text!r} is no domain.") from None
    if len(name) > _LONGEST or _DOMAIN.fullmatch(name) is None:
        raise WrongUsage(f"{text!r} is no domain; write one like example.com, without an address before it.")
    return name


def address_of(text: str) -> Address:
    """An IP address. Raises `WrongUsage`."""
    try:
        return ip_address(text.strip())
    except ValueError:
        raise WrongUsage(f"{text!r} is no IP address, like 192.0.2.1.") from None


def _mend(sentence: str) -> Finding:
    return Finding("MX", Verdict.MEND, sentence)
