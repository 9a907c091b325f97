"""Questions to the DNS, each asked once."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
import dns.reversename

from caravan.errors import Unavailable, WrongUsage

Address = IPv4Address | IPv6Address
_PORT = 53


class Lookups:
    """The resolver of this machine, or one nameserver."""

    def __init__(self, nameserver: tuple[str, int] | None = None, seconds: float = 5.0) -> None:
        """`seconds` is how long a question may take."""
        self._resolver = dns.asyncresolver.Resolver(configure=nameserver is None)
        if nameserver is not None:
            self._resolver.nameservers = [nameserver[0]]
            self._resolver.port = nameserver[1]
        self._resolver.lifetime = seconds
        self._known: dict[tuple[str, str], list[Any]] = {}

    async def txt(self, name: str) -> list[str]:
        """The TXT records, each with its strings joined (RFC 7208 §3.3, RFC 6376 §3.6.2.2)."""
        found = await self._ask(name, "TXT")
        return [b"".join(each.strings).decode("utf-8", "replace") for each in found]

    async def mx(self, name: str) -> list[str]:
        """The mail exchangers, the preferred first; "." for a null MX (RFC 7505)."""
        found = sorted(await self._ask(name, "MX"), key=lambda each: (each.preference, each.exchange))
        return [each.exchange.to_text(omit_final_dot=each.exchange != dns.name.root) for each in found]

    async def addresses(self, name: str) -> list[Address]:
        """Its addresses of both families."""
        found = [*await self._ask(name, "A"), *await self._ask(name, "AAAA")]
        return [ip_address(each.address) for each in found]

    async def names(self, address: Address) -> list[str]:
        """What the address is called in reverse."""
        found = await self._ask(dns.reversename.from_address(str(address)).to_text(), "PTR")
        return [each.target.to_text(omit_final_dot=True) for each in found]

    async def _ask(self, name: str, kind: str) -> list[Any]:
        key = (name.lower().rstrip("."), kind)
        if key not in self._known:
            self._known[key] = await self._asked(name, kind)
        return self._known[key]

    async def _asked(self, name: str, kind: str) -> list[Any]:
        """The records; none where there is no such name. Raises `Unavailable` if the DNS does not say."""
        try:
            answer = await self._resolver.resolve(name.rstrip(".") + ".", kind, raise_on_no_answer=False)
        except (dns.resolver.NXDOMAIN, dns.name.EmptyLabel, dns.name.LabelTooLong, dns.name.NameTooLong):
            return []
        except dns.exception.Timeout:
            raise Unavailable(f"The DNS did not answer for {kind} of {name} in time.") from None
        except (dns.exception.DNSException, OSError, UnicodeError):
            raise Unavailable(f"The DNS did not answer for {kind} of {name}: its nameservers fail.") from None
        return [] if answer.rrset is None else list(answer.rrset)


def nameserver_of(text: str) -> tuple[str, int]:
    """HOST, HOST:PORT or [HOST]:PORT, the host as an address. Raises `WrongUsage`."""
    host, port = text, str(_PORT)
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":") or str(_PORT)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        ip_address(host)
        number = int(port)
    except ValueError:
        number = 0
    if not 0 < number < 1 << 16:
        raise WrongUsage(f"A nameserver is an address with a port, like 127.0.0.1:5353; {text!r} is none.")
    return host, number
