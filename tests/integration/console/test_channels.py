"""The page of the channels: what it says of each, and that owners set the pace and nobody else does."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape

import httpx
import pytest

from caravan.access.audit import ActorKind, entries
from caravan.access.users import Role
from caravan.channels.replies import Stage
from caravan.channels.sandbox import Received, Sandbox
from caravan.engine.paces import ramp_from_today, set_limits
from caravan.settings import Settings
from caravan.store import breakers, routes
from caravan.store.breakers import Breaker, State
from caravan.store.customers import add_customer
from caravan.store.metrics import report
from caravan.store.paces import Limits, all_paces, of_customer
from caravan.store.routes import Route
from tests.integration.conftest import System, open_house, working
from tests.integration.console.test_console import HOSTILE, browser, buttons, signed_in, streamed
from tests.integration.journeys_for_tests import MAIL, contacts


@pytest.fixture
async def sending(settings: Settings, sandbox: Sandbox) -> AsyncIterator[System]:
    """A system without a worker, whose mails go to a relay; small windows."""
    reachable = settings.model_copy(update={"smtp_url": sandbox.url, "window_size": 10})
    async with open_house(reachable, sandbox) as system:
        yield system


@pytest.fixture
async def owner(idle_system: System) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of an owner."""
    async with browser(idle_system.engine) as http:
        await signed_in(http, idle_system, Role.OWNER)
        yield http


def path(system: System) -> str:
    return f"/console/{system.customer}/channels"


def words(text: str) -> str:
    """What a reader sees."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def part(page: httpx.Response, channel: str) -> str:
    """What is said of one channel."""
    found = re.search(rf'<section id="channel-{channel}".*?</section>', page.text, re.DOTALL)
    assert found, channel
    return words(found[0])


async def own_limits(system: System) -> dict[str, Limits]:
    async with system.engine.pool.connection() as connection:
        found = await of_customer(connection, system.customer)
    return {each.channel: each.limits for each in found if each.customer is not None}


async def test_without_a_pace_each_channel_says_that_it_sends_as_fast_as_it_can(
    idle_system: System, owner: httpx.AsyncClient
) -> None:
    page = await owner.get(path(idle_system))
    assert page.status_code == 200
    assert f'href="{path(idle_system)}" aria-current="page">Channels</a>' in page.text
    for channel in ("email", "sms", "webhook"):
        assert "No pace is set: it sends as fast as it can." in part(page, channel)
        assert f"No batch has sent anything by {channel} within the last 24 hours." in part(page, channel)
    assert buttons(page).count("Set pace") == 3
    assert "End pace" not in buttons(page)


async def test_without_a_relay_it_says_that_no_mail_leaves(settings: Settings, sandbox: Sandbox) -> None:
    async with (
        open_house(settings.model_copy(update={"smtp_url": None}), sandbox) as system,
        browser(system.engine) as http,
    ):
        await signed_in(http, system, Role.VIEWER)
        assert "No relay is set: mails are kept in the sandbox" in part(await http.get(path(system)), "email")


async def test_an_owner_sets_a_pace_and_ends_it_and_the_log_has_both(
    idle_system: System, owner: httpx.AsyncClient
) -> None:
    fields = {"channel": "email", "act": "set", "per_second": "0.5", "per_day": " 100000 ", "ramp_first": "1000"}
    answer = await owner.post(path(idle_system), data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, path(idle_system))
    limits = (await own_limits(idle_system))["email"]
    assert (limits.per_second, limits.per_day) == (0.5, 100_000)
    assert limits.ramp is not None and (limits.ramp.first, limits.ramp.factor) == (1_000, 2.0)
    page = await owner.get(path(idle_system))
    today = limits.ramp.begins
    assert f"this customer 0.5 a second, 100,000 a day, warm-up from 1,000 on {today}" in part(page, "email")
    assert "No pace is set" in part(page, "webhook")
    assert 'name="per_second" inputmode="decimal" autocomplete="off" value="0.5"' in page.text
    assert buttons(page).count("End pace") == 1
    ended = await owner.post(path(idle_system), data={"channel": "email", "act": "end"})
    assert (ended.status_code, await own_limits(idle_system)) == (303, {})
    async with idle_system.engine.pool.connection() as connection:
        found = [each for each in await entries(connection, idle_system.customer) if each.act == "rate"]
    assert [(each.subject, each.actor.kind, each.actor.name) for each in found] == [
        ("channel email", ActorKind.USER, f"owner-{idle_system.customer}@example.com")
    ] * 2
    assert found[0].detail is None
    ramp = {"first": 1_000, "factor": 2.0, "begins": today.isoformat()}
    assert found[1].detail == {"perSecond": 0.5, "perDay": 100_000, "ramp": ramp}


async def test_a_warm_up_goes_on_when_another_limit_is_changed(idle_system: System, owner: httpx.AsyncClient) -> None:
    begun = ramp_from_today(idle_system.engine, 50, 1.5, days_ago=3)
    async with idle_system.engine.pool.connection() as connection:
        await set_limits(idle_system.engine, connection, idle_system.customer, "email", Limits(ramp=begun))
    fields = {"channel": "email", "act": "set", "ramp_first": "50", "ramp_factor": "1.5"}
    await owner.post(path(idle_system), data={**fields, "per_second": "10"})
    limits = (await own_limits(idle_system))["email"]
    assert (limits.per_second, limits.ramp) == (10.0, begun)
    await owner.post(path(idle_system), data={**fields, "ramp_first": "60"})
    ramp = (await own_limits(idle_system))["email"].ramp
    assert ramp is not None and (ramp.first, (ramp.begins - begun.begins).days) == (60, 3)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "A pace has a rate a second, a number a day, or a warm-up; this one has none of them."),
        ({"per_second": "fast"}, "Messages a second is a number like 200 or 0.5; “fast” is none."),
        ({"per_second": "1e3"}, "“1e3” is none."),
        ({"per_second": "0"}, "A rate is between one a day and 1,000,000 a second."),
        ({"per_day": "1,000"}, "Messages a day is a whole number like 100000; “1,000” is none."),
        ({"per_day": "٣"}, "“٣” is none."),
        ({"per_day": "<script>alert(1)</script>"}, "“<script>alert(1)</script>” is none."),
        ({"per_day": "0"}, "A number a day is at least 1."),
        ({"ramp_factor": "2"}, "A warm-up needs the number of messages on its first day."),
        ({"ramp_first": "10", "ramp_factor": "1"}, "A warm-up grows each day by a factor over 1, up to 10."),
        ({"per_second": HOSTILE}, "is none."),
        ({"channel": HOSTILE, "per_second": "1"}, "There is no channel"),
    ],
)
async def test_what_is_no_pace_is_told_in_a_sentence_and_changes_nothing(
    idle_system: System, owner: httpx.AsyncClient, fields: dict[str, str], sentence: str
) -> None:
    answer = await owner.post(path(idle_system), data={"channel": "email", "act": "set", **fields})
    assert answer.status_code == 400
    alert = re.search(r'role="alert">(.*?)</p>', answer.text, re.DOTALL)
    assert alert and sentence in unescape(alert[1])
    assert "<script>alert" not in answer.text and "<img src=x" not in answer.text
    if fields.get("per_day"):
        assert f'value="{fields["per_day"]}"' in unescape(answer.text)
    assert await own_limits(idle_system) == {}
    async with idle_system.engine.pool.connection() as connection:
        assert [each for each in await entries(connection, idle_system.customer) if each.act == "rate"] == []


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
async def test_others_than_owners_see_it_and_set_nothing(idle_system: System, role: Role) -> None:
    async with browser(idle_system.engine) as http:
        await signed_in(http, idle_system, role)
        page = await http.get(path(idle_system))
        assert page.status_code == 200
        assert "Owners set the pace of a channel here." in page.text
        assert "Set pace" not in page.text
        answer = await http.post(path(idle_system), data={"channel": "email", "act": "set", "per_second": "1"})
    assert answer.status_code == 403
    assert await own_limits(idle_system) == {}


async def test_the_channels_of_another_customer_are_no_page(idle_system: System, owner: httpx.AsyncClient) -> None:
    async with idle_system.engine.pool.connection() as connection:
        other = await add_customer(connection, f"other {idle_system.customer}", idle_system.clock.now())
    for address in (f"/console/{other}/channels", f"/console/{other}/channels/live"):
        assert (await owner.get(address)).status_code == 404
    answer = await owner.post(f"/console/{other}/channels", data={"channel": "email", "act": "set", "per_second": "1"})
    assert answer.status_code == 404
    async with idle_system.engine.pool.connection() as connection:
        assert other not in {each.customer for each in await all_paces(connection)}


async def test_who_stands_and_what_replies_say_are_this_customers_alone(sending: System) -> None:
    await sending.publish(MAIL)
    async with sending.engine.pool.connection() as connection:
        await set_limits(sending.engine, connection, sending.customer, "email", Limits(per_day=10))
        other = await add_customer(connection, f"other {sending.customer}", sending.clock.now())
    async with working(sending), browser(sending.engine) as http:
        await signed_in(http, sending, Role.VIEWER)
        batch = await sending.start(contacts(30))
        await sending.until(batch, lambda found: (found["waiting"] or {}).get("reason") is not None)
        page = await http.get(path(sending))
        assert "30 contacts stand for the pace." in part(page, "email")
        assert "10 a day 10 10" in part(page, "email")
        assert "10 sent: 250 2.0.0" in part(page, "email")
        assert "stand for the pace. Nobody" not in part(page, "webhook")
    from caravan.queries.replies import channel_states

    for state in await channel_states(sending.engine, other):
        assert (state.report.standing, state.replies, state.held, state.outcomes) == (0, [], [], {})


async def test_refusals_lead_to_their_batch_and_hostile_replies_are_text(settings: Settings) -> None:
    def script(stage: Stage, mail: Received) -> str | None:
        if stage is not Stage.RCPT:
            return None
        code = "450 4.2.0" if "c0@example.com" in mail.recipients else "550 5.1.1"
        return f"{code} <script>alert(1)</script>{HOSTILE}"

    async with Sandbox(script=script) as relay:
        reachable = settings.model_copy(update={"smtp_url": relay.url, "retry_delay": 3_600})
        async with open_house(reachable, relay) as system, working(system), browser(system.engine) as http:
            await system.publish(MAIL)
            await signed_in(http, system, Role.VIEWER)
            batch = await system.start(contacts(3))
            await system.until(batch, lambda found: (found["waiting"] or {}).get("kind") == "retry")
            page = await http.get(path(system))
            link = f'href="/console/{system.customer}/batches/{batch}/failures"'
    assert "failed 2" in part(page, "email")
    assert link in page.text
    assert "1 contact of journey 1 at mail , next at" in part(page, "email")
    assert "<script>alert(1)</script>" in part(page, "email")[part(page, "email").index("tried again") :]
    assert "<script>alert" not in page.text and "<img src=x" not in page.text


async def test_a_relay_that_is_away_is_told_until_it_answers(idle_system: System, owner: httpx.AsyncClient) -> None:
    metrics = idle_system.engine.metrics
    for reached, sentence in ((False, "could not be reached at"), (True, "last answered at")):
        metrics.sent("email", "sent", 0.1, reached=reached)
        await report(idle_system.engine.pool, metrics)
        assert sentence in part(await owner.get(path(idle_system)), "email")


async def test_the_page_is_live(idle_system: System, owner: httpx.AsyncClient) -> None:
    async def enough(seen: list[dict[str, str]]) -> bool:
        if len(seen) == 1:
            await owner.post(path(idle_system), data={"channel": "email", "act": "set", "per_second": "7"})
        return any("7 a second" in each.get("channel-email", "") for each in seen)

    seen = await streamed(owner, path(idle_system), enough)
    assert set(seen[0]) == {"channel-email", "channel-sms", "channel-webhook"}
    assert "channel-webhook" not in seen[-1]


async def test_an_owner_paces_a_provider_and_the_page_tells_what_stands_and_what_is_stopped(
    idle_system: System, owner: httpx.AsyncClient
) -> None:
    given = {"channel": "email", "provider": "gmail", "per_second": "25", "act": "set"}
    assert (await owner.post(path(idle_system), data=given)).status_code == 303
    async with idle_system.engine.pool.connection() as connection:
        now = idle_system.clock.now()
        words_ = f"421 4.7.0 try later {HOSTILE}"
        route = Route("email", "default", "yahoo")
        await routes.slow(connection, route, 1 / 60, 2, now + timedelta(hours=1), words_, now)
        stopped = Breaker("email", "default", "gmx", now, State.OPEN, words_, now + timedelta(minutes=5))
        await breakers.put(connection, stopped)
        found = [each for each in await entries(connection, idle_system.customer) if each.act == "rate"]
    assert (found[0].act, found[0].subject) == ("rate", "channel email provider gmail")
    page = await owner.get(path(idle_system))
    told = part(page, "email")
    assert "to gmail this customer 25 a second 0 0" in told
    assert "to yahoo by relay default all customers together, slowed down until" in told
    assert "open Gmx by the mail relay since" in told and "It is tried with one connection at" in told
    assert HOSTILE not in page.text
    assert "Set pace of provider" in buttons(page)
    wrong = await owner.post(path(idle_system), data={**given, "per_second": "fast"})
    assert wrong.status_code == 400 and "Messages a second is a number" in wrong.text
    wrong = await owner.post(path(idle_system), data={**given, "provider": HOSTILE})
    assert wrong.status_code == 400 and "There is no provider" in wrong.text and HOSTILE not in wrong.text
    assert (await owner.post(path(idle_system), data={**given, "act": "end"})).status_code == 303
    assert "to gmail" not in part(await owner.get(path(idle_system)), "email")


async def test_owners_set_and_end_a_cap_and_the_card_tells_of_it(idle_system: System, owner: httpx.AsyncClient) -> None:
    where = f"{path(idle_system)}/email/cap"
    assert "No cap is set" in part(await owner.get(path(idle_system)), "email")
    assert "Cap of" not in part(await owner.get(path(idle_system)), "webhook"), "a program has no patience to lose"
    assert "No cap is set" in words((await owner.get(where)).text)
    fields = {"most": "3", "period": "7 days", "otherwise": "wait", "act": "set"}
    answer = await owner.post(where, data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, path(idle_system))
    assert "A recipient gets at most 3 in any 7 days; others wait." in part(await owner.get(path(idle_system)), "email")
    page = await owner.get(where)
    assert set(buttons(page)) >= {"Set cap", "End cap"}
    assert "at most 3 messages by email in any 7 days" in words(page.text)
    assert (await owner.post(where, data={"act": "end"})).status_code == 303
    assert "No cap is set" in part(await owner.get(path(idle_system)), "email")
    async with idle_system.engine.pool.connection() as connection:
        acts = [each.detail for each in await entries(connection, idle_system.customer) if each.act == "cap"]
    assert acts == [None, {"most": 3, "period": "7 days", "waits": True}]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"most": "", "period": "7 days"}, "Messages is a whole number like 3."),
        ({"most": "0", "period": "7 days"}, "A cap is from 1 to 100 messages; 0 is not."),
        ({"most": "3", "period": ""}, "is no period; write one like 7 days or 24 hours."),
        ({"most": "3", "period": HOSTILE}, "is no period"),
        ({"most": "3", "period": "1 day", "otherwise": "later"}, "Choose whether others are left out or wait."),
    ],
)
async def test_a_cap_that_can_not_be_is_refused_and_the_fields_stay(
    idle_system: System, owner: httpx.AsyncClient, fields: dict[str, str], said: str
) -> None:
    where = f"{path(idle_system)}/email/cap"
    answer = await owner.post(where, data={"otherwise": "skip", "act": "set", **fields})
    assert answer.status_code == 400
    assert said in words(answer.text)
    assert "<script>" not in answer.text.replace('<script type="module"', "").replace("<script src", "")
    assert (await owner.get(f"{path(idle_system)}/webhook/cap")).status_code == 404


async def test_others_see_the_cap_and_can_not_set_it(idle_system: System) -> None:
    async with browser(idle_system.engine) as http:
        await signed_in(http, idle_system, Role.EDITOR)
        where = f"{path(idle_system)}/email/cap"
        assert "Owners set the cap here." in words((await http.get(where)).text)
        assert (await http.post(where, data={"most": "1", "period": "1 day", "act": "set"})).status_code == 403
