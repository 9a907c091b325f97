"""Mailbox providers as data: how a domain is found to be theirs, and what mails to them have to keep to."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from caravan.channels.rule_files import RuleFile
from caravan.journeys.document import Node, Scalar
from caravan.store.paces import Limits

OTHER: Final = "other"  # who is none of the providers in the files
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_HOST: Final = re.compile(r"\.?(?:[a-z0-9_-]{1,63}\.)*[a-z0-9-]{1,63}")
_MEMBERS: Final = ("mx", "domains", "rate", "connections", "mails", "tls")


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, and its limits; None where there is none."""

    name: str
    mx: tuple[str, ...] = ()  # endings of host names, each with its dot
    domains: tuple[str, ...] = ()
    rate: float | None = None  # messages a second
    connections: int | None = None
    mails: int | None = None  # on one connection
    tls: bool = False  # only over encrypted connections

    @property
    def limits(self) -> Limits | None:
        """How fast mails may go to it."""
        return None if self.rate is None else Limits(per_second=self.rate)


class Providers:
    """The providers that there are."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._known = {each.name: each for each in providers}
        self._domains = {domain: each.name for each in self._known.values() for domain in each.domains}
        self._endings = {ending: each.name for each in self._known.values() for ending in each.mx}

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._known.values())

    def get(self, name: str) -> Provider:
        """The provider of this name; of one that is in no file, one without limits."""
        return self._known.get(name) or Provider(name)

    def of_domain(self, domain: str) -> str | None:
        """The provider whose list has this domain."""
        return self._domains.get(domain)

    def of_host(self, host: str) -> str | None:
        """The provider whose mail exchanger this is, by the longest ending."""
        name = "." + host.lower().rstrip(".")
        while name:
            if (found := self._endings.get(name)) is not None:
                return found
            cut = name.find(".", 1)
            name = name[cut:] if cut > 0 else ""
        return None


def read_providers(own: Path | None = None) -> Providers:
    """Ours, with the members that the operator's file has in place of ours. Raises `InvalidSetting`."""
    found = dict(shipped())
    if own is not None:
        found = _read(RuleFile.at(own), found)
    return Providers(found.values())


@cache
def shipped() -> Mapping[str, Provider]:
    """Those of providers.yaml."""
    text = files("caravan.channels").joinpath("providers.yaml").read_text("utf-8")
    return _read(RuleFile("providers.yaml", text), {})


def _read(file: RuleFile, before: Mapping[str, Provider]) -> dict[str, Provider]:
    found = dict(before)
    for name, line, node in file.entries(file.root, "the file"):
        if not _NAME.fullmatch(name):
            file.wrong(line, f"{name[:40]!r} is no name of a provider: small letters, digits and hyphens, up to 32")
            continue
        found[name] = _provider(file, node, found.get(name) or Provider(name))
        if not (found[name].mx or found[name].domains or name == OTHER):
            file.wrong(line, f"{name} has neither mx nor domains, so no mail is found to go there")
    file.close()
    return found


def _provider(file: RuleFile, node: Node, before: Provider) -> Provider:
    found = before
    for member, value in file.members(node, before.name, _MEMBERS).items():
        what = f"{before.name}.{member}"
        off = isinstance(value, Scalar) and value.text == "off"
        match member:
            case "mx":
                found = replace(found, mx=tuple(f".{each.lstrip('.')}" for each in _hosts(file, value, what)))
            case "domains":
                found = replace(found, domains=_hosts(file, value, what))
            case "rate":
                found = replace(found, rate=None if off else file.rate(value, what))
            case "tls":
                if not off and not (isinstance(value, Scalar) and value.text == "required"):
                    file.wrong(value.line, f"{what} should be required, or off")
                found = replace(found, tls=not off)
            case "connections":
                found = replace(found, connections=None if off else file.number(value, what))
            case _:
                found = replace(found, mails=None if off else file.number(value, what))
    return found


def _hosts(file: RuleFile, node: Node, what: str) -> tuple[str, ...]:
    hosts = [each.lower() for each in file.texts(node, what)]
    for each in hosts:
        if not _HOST.fullmatch(each):
            file.wrong(node.line, f"{what}: {each[:40]!r} is no name of a host or a domain")
    return tuple(hosts)
