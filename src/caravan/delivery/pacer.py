"""What may go out now, by all that holds mails back: paces of the channel, of relays and of providers, and breakers."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from caravan.clock import Clock
from caravan.delivery import breaker as rules
from caravan.delivery.breaker import Barred, Entry, Tally
from caravan.delivery.pace import Grant, Refusal, patience, share
from caravan.delivery.signal import Signal
from caravan.store import breakers, jobs, paces, routes
from caravan.store.breakers import Breaker, State
from caravan.store.cohorts import Cohort
from caravan.store.database import Connection, Pool
from caravan.store.routes import BoundRoute, Route

_REFRESH = 1.0  # seconds until a pace or a breaker that is new is noticed
_TOLD_FROM = 0.25  # seconds that a window takes for its pace, from which on it is worth a word
_SPREAD = 3.0  # seconds over which those who were barred look again
_log = logging.getLogger(__name__)


class Pacer:
    """Asks for slots on behalf of the senders of one process, and tells the others what these learnt."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self._channels: set[tuple[int | None, str]] = set()
        self._routes: list[BoundRoute] = []
        self._breakers: list[Breaker] = []
        self._looked = -_REFRESH
        self._places: dict[Route, tuple[int, asyncio.Semaphore]] = {}

    async def ask(self, cohort: Cohort, route: Route, wanted: int, left: int = 0) -> Grant | Refusal:
        """Slots for up to so many of a cohort's deliveries on a route. `left`: of those who are still to be sent to."""
        await self._look()
        barred, paced = self._is_barred(route), self._is_paced(cohort.customer, route)
        if not barred and not paced:
            return Grant(wanted)
        async with self._pool.connection() as connection, connection.transaction():
            entry = await self._enter(connection, cohort, route) if barred else None
            if isinstance(entry, Refusal):
                return entry
            grant = await _paced(connection, cohort, route, wanted if entry is None else min(wanted, entry.count))
            if isinstance(grant, Grant) and grant.reason is not None and grant.lasts >= _TOLD_FROM:
                end = self._clock.now() + timedelta(seconds=left * grant.spacing)
                await paces.say(connection, cohort.id, f"{grant.reason}; {_ends(left, end)}")
        if isinstance(grant, Refusal) or entry is None:
            return grant
        return replace(grant, probes=True, at_once=min(entry.connections, grant.at_once or entry.connections))

    def places(self, route: Route, count: int) -> asyncio.Semaphore:
        """So many places, for all messages that this process has under way on a route."""
        before = self._places.get(route)
        if before is None or before[0] != count:
            before = self._places[route] = (count, asyncio.Semaphore(count))
        return before[1]

    async def providers(self, customer: int, channel: str) -> frozenset[str]:
        """The providers whose mails may have to wait while others go on."""
        await self._look()
        paced = {
            each.provider for each in self._routes if each.channel == channel and each.customer in (None, customer)
        }
        stopped = {each.provider for each in self._breakers if each.channel == channel and each.state != State.CLOSED}
        return frozenset(name for name in paced | stopped if name)

    async def is_stopped(self, channel: str, relay: str) -> bool:
        """Whether a relay is to be left alone now: until it is tried again, and by others than who tries it."""
        await self._look()
        now = self._clock.now()
        for each in self._breakers:
            if (each.channel, each.relay, each.provider) == (channel, relay, ""):
                until = each.probe_at if each.state is State.OPEN else each.held_until
                return each.state is not State.CLOSED and until is not None and now < until
        return False

    async def give_back(self, cohort: Cohort, route: Route, count: int) -> None:
        """So many slots were not needed: there was nothing to send in them."""
        await self._look()
        if self._is_paced(cohort.customer, route):
            async with self._pool.connection() as connection, connection.transaction():
                await routes.give_back(connection, cohort.customer, route, count)

    async def stand(self, cohort: Cohort, route: Route, refusal: Refusal, now: datetime) -> None:
        """Let a cohort stand that was refused: until there may be a slot, and those who stand for the same one do not
        all ask for it at the same moment."""
        assert cohort.claim is not None
        async with self._pool.connection() as connection:
            standing = await routes.backlog(connection, route.channel)
            others = sum(standing.values()) if refusal.provider is None else standing.get(refusal.provider, 0)
            waiting, reason = cohort.part.size + others, refusal.reason
            if refusal.rate is not None:
                reason += f"; {_ends(waiting, now + timedelta(seconds=waiting / refusal.rate))}"
            until = now + timedelta(seconds=patience(refusal, waiting))
            await paces.stand(connection, cohort.id, cohort.claim, route.channel, until, reason)

    async def learn(self, cohort: Cohort, route: Route, tallies: Mapping[str, Tally]) -> None:
        """What a window learnt of a relay, by provider; "" is the relay as a whole."""
        assert route.relay is not None and cohort.claim is not None
        if not any(self._matters(route, name, tally) for name, tally in tallies.items()):
            return
        now = self._clock.now()
        async with self._pool.connection() as connection, connection.transaction():
            known = await breakers.lock(connection, route.channel, route.relay, sorted(tallies))
            found = {each.provider: each for each in known}
            for name, tally in tallies.items():
                before = found.get(name) or Breaker(route.channel, route.relay, name, now)
                after = rules.learn(before, tally, cohort.claim, now)
                for signal, count in tally.slows:
                    after, hits = rules.counted(after, signal, count, now)
                    if hits >= signal.after:
                        await self._slow(connection, Route(route.channel, route.relay, name or None), signal, now)
                if after != before:
                    await self._changed(connection, before, after, now)
        self._looked = -_REFRESH

    async def _slow(self, connection: Connection, route: Route, signal: Signal, now: datetime) -> None:
        """Slow a route down by what a reply asked for."""
        until = await paces.moment(connection) + timedelta(seconds=signal.seconds)
        await routes.slow(connection, route, signal.rate, signal.connections, until, signal.reason, now)
        _log.warning("%s is slowed down for %.0f s: %s", route.provider or route.relay, signal.seconds, signal.reason)

    async def _changed(self, connection: Connection, before: Breaker, after: Breaker, now: datetime) -> None:
        """Keep a breaker; say so when it opens or has closed, and let everybody go on then."""
        await breakers.put(connection, after)
        if after.state is State.OPEN and before.state is not State.OPEN:
            _log.warning("%s is stopped until %s: %s", after.name, after.probe_at, after.reason)
        elif after.state is State.CLOSED and before.state is not State.CLOSED:
            _log.warning("%s takes mail again", after.name)
            route = Route(after.channel, after.relay, after.provider or None)
            await jobs.hasten(connection, await routes.wake(connection, None, route, now))

    async def _enter(self, connection: Connection, cohort: Cohort, route: Route) -> Entry | Refusal | None:
        """What the breakers of the relay and of the provider let through together."""
        assert route.relay is not None and cohort.claim is not None
        now, least = self._clock.now(), None
        names = ["", route.provider] if route.provider else [""]
        changed = list[Breaker]()
        for each in await breakers.lock(connection, route.channel, route.relay, names):
            answer, after = rules.enter(each, cohort.claim, now)
            if isinstance(answer, Barred):
                return Refusal(answer.after, answer.reason, None, route.provider if each.provider else None, _SPREAD)
            if answer is not None:
                least = answer if least is None or answer.count < least.count else least
                changed.append(after)
        for after in changed:
            await breakers.put(connection, after)
        return least

    def _matters(self, route: Route, provider: str, tally: Tally) -> bool:
        """Whether others must know: of what went well only where it did not before."""
        key = (route.channel, route.relay, provider)
        known = any((each.channel, each.relay, each.provider) == key for each in self._breakers)
        return known or bool(tally.stops or tally.slows) or (tally.unreachable > 0 and tally.reached == 0)

    def _is_barred(self, route: Route) -> bool:
        return any(
            (each.channel, each.relay) == (route.channel, route.relay)
            and each.provider in ("", route.provider)
            and each.state is not State.CLOSED
            for each in self._breakers
        )

    def _is_paced(self, customer: int, route: Route) -> bool:
        if (customer, route.channel) in self._channels or (None, route.channel) in self._channels:
            return True
        return any(each.binds(customer, route) for each in self._routes)

    async def _look(self) -> None:
        if time.monotonic() - self._looked >= _REFRESH:
            self._looked = time.monotonic()
            async with self._pool.connection() as connection:
                self._channels = await paces.bound(connection)
                self._routes = await routes.bound(connection)
                self._breakers = await breakers.notable(connection)


def _ends(contacts: int, end: datetime) -> str:
    """When so many contacts will have been sent to."""
    return f"the last of {contacts:,} is about to leave at {end:%Y-%m-%d %H:%M} UTC"


async def _paced(connection: Connection, cohort: Cohort, route: Route, wanted: int) -> Grant | Refusal:
    """What the paces let through, and is used of them then."""
    bound, now = await paces.lock(connection, cohort.customer, route.channel)
    if of_route := await routes.lock(connection, cohort.customer, route):
        bound, now = [*bound, *of_route], await paces.moment(connection)  # after the wait for their locks
    answer, used = share(bound, wanted, now) if bound else (Grant(wanted), [])
    for pace in used:
        await routes.spend(connection, pace)
    return answer
