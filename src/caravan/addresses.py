"""Which network addresses Caravan may connect to on behalf of a customer: only public ones.

A customer names addresses in `downloadUrl` and in webhooks, and the machines beside a Caravan server (its
database, the cloud's metadata service, a router's console) must not be reachable through them. A check of
the URL alone can't hold, because a name can answer with another address a moment later. So three doors
stand in a row: `check_url` refuses early, with a sentence for people; `GuardedResolver` drops refused DNS
answers; and the connector of `connector` looks at each address in the moment in which it is dialled,
however it was found.
"""

import asyncio
import socket
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp import TCPConnector, ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType
from yarl import URL

from caravan.errors import AddressRefused, InvalidInput
from caravan.urls import as_asked

_REFUSED_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network"; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier NAT; also Alibaba Cloud's metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host agent, which answers from a public address
        "169.254.0.0/16",  # link-local, and the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # also Oracle Cloud's metadata service
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address that the relay would reach
        "3fff::/20",
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NO_URL: Final = "The address must be a URL that starts with http:// or https:// and names a host."


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is an ordinary address of the public internet (IANA special-purpose registries, RFC
    6890).

    An IPv6 address that stands for an IPv4 one (mapped, RFC 4291 §2.5.5.2; NAT64, RFC 6052) is judged as
    that one.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL_V6 and not any(address in network for network in _REFUSED_V6)


def check_url(url: str, *, allow_private: bool) -> URL:
    """`url` as it is asked for (`urls.as_asked`), when it is one that may be called: http or https, with a host.

    Raises `InvalidInput` for any other, and `AddressRefused` when the host is itself an address that is
    refused. The sentences hold no part of the URL, which may carry a signature.
    """
    try:
        asked = as_asked(url)
        port = asked.explicit_port
    except (ValueError, TypeError):
        raise InvalidInput(_NO_URL) from None
    if asked.scheme not in ("http", "https") or not asked.raw_host or port == 0:
        raise InvalidInput(_NO_URL)
    if not allow_private:
        _check_literal(asked.raw_host)
    return asked


def _check_literal(host: str) -> None:
    """Refuse a host that is an address, in any notation that the C library takes (127.1, 0x7f000001,
    2130706433)."""
    bare = host.rstrip(".").partition("%")[0]
    try:
        address: IPv4Address | IPv6Address = ip_address(bare)
    except ValueError:
        try:
            address = IPv4Address(socket.inet_aton(bare))
        except (OSError, UnicodeEncodeError):
            return
    if not is_public(address):
        raise AddressRefused(f"The address {address} is not public, so it is not connected to.")


def redacted(url: str) -> str:
    """`url` as it may be shown and logged: without user, password, query and fragment, which may be
    secret."""
    try:
        return str(as_asked(url).with_user(None).with_query(None)).removesuffix("?")
    except (ValueError, TypeError):
        return "the given address"


class SystemResolver(ThreadedResolver):
    """The resolver of the operating system."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises OSError, also for what can't be a name (a label of 64 letters)."""
        try:
            return await super().resolve(host, port, family)
        except UnicodeError:
            raise OSError("This can't be a host name.") from None


class GuardedResolver(AbstractResolver):
    """Answers with the public addresses of a name; raises `AddressRefused` when it has only others."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses that `inner` finds, without the refused ones."""
        found = await self._inner.resolve(host, port, family)
        if not found:
            raise OSError("The name has no address.")  # aiohttp trips over an empty answer
        public = [answer for answer in found if _dialled_is_public(answer["host"])]
        if not public:
            raise AddressRefused(f"{host} has no public address, so it is not connected to.")
        return public

    async def close(self) -> None:
        """Let go of what `inner` holds."""
        await self._inner.close()


def _dialled_is_public(host: str) -> bool:
    try:
        return is_public(ip_address(host))
    except ValueError:
        # Not in canonical form: the system would read it in its own way, so it is nothing that was checked.
        return False


class _RefusedAtDial(OSError):
    """Makes aiohttp try the next address; it swallows or wraps nothing but OSError."""


def _guarded_socket(addr_info: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, address = addr_info
    if not _dialled_is_public(str(address[0])):
        raise _RefusedAtDial("This address is not public, so it is not connected to.")
    return socket.socket(family=family, type=kind, proto=protocol)


def was_refused(error: BaseException) -> bool:
    """Whether `error`, from a call through `connector`, means that an address was refused."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AddressRefused | _RefusedAtDial):
            return True
        seen = seen.__cause__
    return False


def connector(
    *,
    allow_private: bool,
    limit: int,
    keepalive: float = 15,
    cache_names: bool = True,
    resolver: AbstractResolver | None = None,
) -> TCPConnector:
    """A connection pool that dials public addresses only, unless `allow_private`. To be made inside a
    running loop.

    `limit` bounds the connections that are open at once, `keepalive` is the seconds that an idle one is kept,
    `cache_names` keeps a name's addresses for ten seconds, and `resolver` finds them (default: the system's).
    """
    inner = resolver or SystemResolver(asyncio.get_running_loop())
    make = partial(TCPConnector, limit=limit, keepalive_timeout=keepalive, use_dns_cache=cache_names)
    if allow_private:
        return make(resolver=inner)
    return make(resolver=GuardedResolver(inner), socket_factory=_guarded_socket)
