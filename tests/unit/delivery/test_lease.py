"""Leases."""

import asyncio
import time

import pytest

from caravan.delivery.lease import HeldBack, Lease


async def test_a_lease_allows_sending_until_it_runs_out_and_again_when_it_is_renewed() -> None:
    lease = Lease(60)
    lease.check()
    lease.renew(time.monotonic() - 61)
    with pytest.raises(HeldBack):
        lease.check()
    waiting = asyncio.create_task(lease.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    lease.renew(time.monotonic())
    assert await waiting
    lease.check()


async def test_what_waits_for_a_lease_is_told_when_it_is_over() -> None:
    lease = Lease(0)
    waiting = asyncio.create_task(lease.wait())
    await asyncio.sleep(0)
    lease.halt()
    assert not await waiting
    lease.renew(time.monotonic() + 60)
    with pytest.raises(HeldBack):
        lease.check()
