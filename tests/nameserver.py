"""A DNS server on loopback, for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = dict[tuple[str, str], list[str]]  # {(name, type): records}


class Nameserver(asyncio.DatagramProtocol):
    """Answers from a zone: NXDOMAIN for names that it does not have, SERVFAIL below `broken.`, and nothing below
    `silent.`."""

    def __init__(self, zone: Zone) -> None:
        self.zone, self.asked = zone, list[str]()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.transport.get_extra_info('sockname')[1]}"

    def datagram_received(self, data: bytes, address: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(name)
        answer = dns.message.make_response(query, recursion_available=True)
        if name.endswith("silent"):
            return
        if name.endswith("broken"):
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif records := self.zone.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
        elif name not in {known for known, _ in self.zone}:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), address)


@asynccontextmanager
async def nameserver(zone: Zone) -> AsyncIterator[Nameserver]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Nameserver(zone), local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
