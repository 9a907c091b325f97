"""`bench webhook`: one call a contact, from a batch through a real worker to a local HTTP sink."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp

from caravan.bench.email import deliver
from caravan.bench.inputs import SHAPES, contact, write_file
from caravan.bench.measure import Timed, in_child, in_turn, now
from caravan.bench.report import Finding, Report
from caravan.bench.sinks import http_sink
from caravan.bench.system import JOURNEY, Unbalanced, up, workspace

_JOURNEY = f"""
journey: {JOURNEY}
name: Bench
steps:
  - id: call
    webhook:
      url: "http://127.0.0.1:PORT/hooks/{{{{ id }}}}"
      body:
        contact: "{{{{ id }}}}"
        name: "{{{{ firstname }}}} {{{{ lastname }}}}"
        city: "{{{{ city }}}}"
"""
_WARM = 400
_CONNECTIONS = 50  # as many as a worker has under way by default
YARDSTICK = f"a bare aiohttp loop, {_CONNECTIONS} connections, to the same sink"


def run(rows: int, repeats: int, say: Callable[[str], None]) -> Report:
    """Both sides. Raises `Unbalanced` when a ledger is not what it must be, or a call is missing."""
    with workspace() as folder, http_sink() as (port, count):
        made = write_file(folder / "contacts.ndjson", rows, SHAPES["clean"])
        warm = write_file(folder / "warm.ndjson", _WARM, SHAPES["clean"])
        ledgers: list[dict[str, Any]] = []
        journey = _JOURNEY.replace("PORT", str(port))
        with up(folder / "data", journey, download_allow_private="true") as system:
            deliver(system, "call", warm, ledgers)
            ours = partial(deliver, system, "call", made, ledgers)
            pairs = in_turn(repeats, ours, partial(in_child, bare_loop, port, rows), say)
        expected = _WARM + 2 * repeats * rows
        if count() != expected:
            raise Unbalanced(f"The sink had {count():,} calls, not {expected:,}.")
    notes = ["caravan's seconds are from the batch's start, with everybody entered, to its end, as the batch says"]
    return Report("webhook", rows, YARDSTICK, [Finding("standard", rows, made.bytes, pairs, ledgers[-1])], notes)


def bare_loop(port: int, calls: int) -> Timed:
    """The yardstick."""
    return asyncio.run(_bare_loop(port, calls))


async def _bare_loop(port: int, calls: int) -> Timed:
    made = iter([_call(port, number) for number in range(1, calls + 1)])
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS)) as session:

        async def caller() -> None:
            for url, body in made:
                async with session.post(url, data=body, headers=headers) as answer:
                    await answer.read()

        begin = now()
        await asyncio.gather(*(caller() for _ in range(_CONNECTIONS)))
        return Timed(now() - begin)


def _call(port: int, number: int) -> tuple[str, bytes]:
    person = contact(number)
    name = f"{person['firstname']} {person.get('lastname', '')}"
    body = {"contact": f"c-{number:08}", "name": name, "city": person["city"]}
    return f"http://127.0.0.1:{port}/hooks/c-{number:08}", json.dumps(body, ensure_ascii=False).encode()
