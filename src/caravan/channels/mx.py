"""Which provider a domain's mail goes to: by the DNS, remembered by the process, and never in the way of a mail.

A domain of which the DNS does not say in time is one of `other` for a minute. While it does not answer at all, it is
not asked for half a minute.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from math import inf
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from caravan.channels.providers import OTHER, Providers
from caravan.delivery.suppression import ascii_domain

_LEAST, _MOST, _NEGATIVE, _FAILED = 300.0, 86_400.0, 900.0, 60.0  # seconds for which an answer is remembered
_KEPT = 100_000  # domains
_AT_ONCE = 100  # questions
_SECONDS = 2.0  # that a question may take
_SILENT_FROM, _SILENT = 5, 30.0  # questions in a row without an answer, and seconds without a question then
#: Nobody has mail there (RFC 2606, RFC 6761).
_RESERVED: Final = frozenset({"example", "test", "invalid", "localhost", "local"})
_DOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}"
)  # RFC 1035 §2.3.4
_RESERVED_DOMAINS: Final = ("example.com", "example.net", "example.org")


class Directory:
    """The providers of domains."""

    def __init__(
        self,
        providers: Providers,
        nameserver: tuple[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.providers, self._nameserver, self._clock = providers, nameserver, clock
        self._known: dict[str, tuple[float, str | None]] = {}  # {domain: (until, provider)}, the oldest first
        self._asking: dict[str, asyncio.Task[str]] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._unanswered, self._silent_until = 0, 0.0
        self._made: dns.asyncresolver.Resolver | None = None

    async def close(self) -> None:
        """Ask no more."""
        for task in list(self._asking.values()):
            task.cancel()
        if self._asking:
            await asyncio.wait(list(self._asking.values()))

    def known(self, address: str) -> str | None:
        """The provider of a recipient, if that takes no question."""
        return self._remembered(domain_of(address))

    async def of(self, addresses: Iterable[str]) -> list[str]:
        """The provider of each recipient, `other` for those who have none."""
        domains = [domain_of(each) for each in addresses]
        found = {each: self._remembered(each) for each in set(domains)}
        unknown = [each for each, name in found.items() if name is None]
        if unknown:
            tasks = [self._ask(each) for each in unknown]
            await asyncio.wait(tasks, timeout=2 * _SECONDS)  # what comes later is remembered for the next ones
        return [found[each] or self._remembered(each) or OTHER for each in domains]

    def _remembered(self, domain: str) -> str | None:
        until, name = self._known.get(domain, (0.0, None))
        if self._clock() < until:
            return name
        if (name := self.providers.of_domain(domain) or (OTHER if _has_none(domain) else None)) is not None:
            self._remember(domain, name, inf)
        return name

    def _remember(self, domain: str, name: str, seconds: float) -> None:
        self._known.pop(domain, None)
        self._known[domain] = (self._clock() + seconds, name)
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]

    def _ask(self, domain: str) -> "asyncio.Task[str]":
        if (task := self._asking.get(domain)) is None:
            task = self._asking[domain] = asyncio.create_task(self._asked(domain))
            task.add_done_callback(lambda _: self._asking.pop(domain, None))
        return task

    async def _asked(self, domain: str) -> str:
        async with self._places:
            now = self._clock()
            name, seconds = (OTHER, _FAILED) if now < self._silent_until else await self._look_up(domain)
        self._remember(domain, name, seconds)
        return name

    async def _look_up(self, domain: str) -> tuple[str, float]:
        """The provider of a domain, and for how many seconds that may be remembered."""
        try:
            answer = await self._resolver().resolve(f"{domain}.", "MX", raise_on_no_answer=False)
        except (dns.resolver.NXDOMAIN, dns.name.EmptyLabel, dns.name.LabelTooLong, dns.name.NameTooLong):
            self._unanswered = 0
            return OTHER, _NEGATIVE
        except (dns.exception.DNSException, OSError, UnicodeError):
            self._unanswered += 1
            if self._unanswered >= _SILENT_FROM:
                self._unanswered, self._silent_until = 0, self._clock() + _SILENT
            return OTHER, _FAILED
        self._unanswered = 0
        if answer.rrset is None:
            return OTHER, _NEGATIVE
        first = min(answer.rrset, key=lambda each: (each.preference, each.exchange))
        hosts = [each.exchange for each in answer.rrset if each.preference == first.preference]
        names = [name for host in sorted(hosts) if (name := self.providers.of_host(host.to_text())) is not None]
        return next(iter(names), OTHER), min(max(float(answer.rrset.ttl), _LEAST), _MOST)

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """Made with the first question: a machine may have none."""
        if self._made is None:
            self._made = dns.asyncresolver.Resolver(configure=self._nameserver is None)
            if self._nameserver is not None:
                self._made.nameservers, self._made.port = [self._nameserver[0]], self._nameserver[1]
            self._made.lifetime = _SECONDS
        return self._made


def domain_of(address: str) -> str:
    """The domain of a recipient as the DNS has it, also of a name with the address in angle brackets."""
    return ascii_domain(address.strip().rpartition("@")[2].rstrip("> \t.").lower())


def _has_none(domain: str) -> bool:
    """Whether the DNS need not be asked: there is no such domain, or it is no name of one."""
    if not _DOMAIN.fullmatch(domain) or domain.rpartition(".")[2] in _RESERVED:
        return True
    return any(domain == each or domain.endswith(f".{each}") for each in _RESERVED_DOMAINS)
