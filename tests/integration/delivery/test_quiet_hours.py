"""Who may not be sent to by the clock of its zone stands until the hours of its step open, or is left out."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from caravan.channels.replies import Stage
from caravan.channels.sandbox import Received, Sandbox
from caravan.settings import Settings
from tests.integration.conftest import System, open_house, working
from tests.integration.journeys_for_tests import MAIL

NEXT = "    next: days\n  - id: days\n    wait: 300 days\n"


def journey(**window: str) -> str:
    inside = ", ".join(f"{key}: {value}" for key, value in window.items())
    return MAIL + f"    send_window: {{{inside}}}\n" + NEXT


DAY = {"from": '"08:00"', "to": '"21:00"', "timezone": '"{{ tz }}"'}


def file(*zones: object) -> bytes:
    """Contacts 0, 1, 2 … in these zones; None for a contact that names none."""
    return b"".join(
        json.dumps(
            {
                "id": str(number),
                "properties": {"emailAddress": f"c{number}@example.com", **({} if zone is None else {"tz": zone})},
            }
        ).encode()
        + b"\n"
        for number, zone in enumerate(zones)
    )


@asynccontextmanager
async def at(settings: Settings, sandbox: Sandbox, moment: str) -> AsyncIterator[System]:
    """A working system whose clock shows that moment of next year (UTC), or a few seconds more."""
    async with open_house(settings.model_copy(update={"smtp_url": sandbox.url}), sandbox) as system:
        system.clock.turn(datetime.fromisoformat(f"2027-{moment}").replace(tzinfo=UTC) - system.clock.now())
        async with working(system):
            yield system


def got(system: System) -> set[int]:
    return {int(mail.recipients[0][1:].partition("@")[0]) for mail in system.sandbox.mails}


async def standing(system: System, step: str = "mail") -> list[dict[str, Any]]:
    async with system.engine.pool.connection() as connection:
        found = await connection.execute(
            "select * from cohorts where closed_at is null and step = %s order by due_at", (step,)
        )
        return list(await found.fetchall())


async def test_each_contact_is_sent_to_in_the_hours_of_its_own_zone(settings: Settings, sandbox: Sandbox) -> None:
    """At 05:00 in UTC it is 07:00 in Stockholm (summer), 10:30 in Kolkata, 15:00 in Sydney and 22:00 in Los Angeles."""
    async with at(settings, sandbox, "07-01 05:00") as system:
        await system.publish(journey(**DAY, spread="10 minutes"))
        zones = ["Asia/Kolkata", "Australia/Sydney", "Europe/Stockholm", "America/Los_Angeles"]
        batch = await system.start(file(*zones))
        found = await system.until(batch, lambda found: found["ledger"]["steps"][0]["outcomes"] == {"sent": 2})
        assert got(system) == {0, 1}
        assert found["waiting"]["kind"] == "wait"
        assert "quiet hours until 2027-07-01 08:00 in Europe/Stockholm" in found["waitingFor"]
        (line,) = await system.lines(f"batches/{batch}/journal?contact=3&step=mail")
        assert line["detail"].endswith("quiet hours until 2027-07-01 08:00 in America/Los_Angeles")
        stockholm, los_angeles = [each["due_at"] for each in await standing(system)]
        opens = datetime(2027, 7, 1, 6, tzinfo=UTC)
        assert opens <= stockholm < opens + timedelta(minutes=10)
        assert opens + timedelta(hours=9) <= los_angeles < opens + timedelta(hours=9, minutes=10)
        await system.turn(hours=1, minutes=10)
        await system.until(batch, lambda found: found["ledger"]["steps"][0]["outcomes"] == {"sent": 3})
        assert got(system) == {0, 1, 2}
        await system.turn(hours=9)
        await system.until(batch, lambda found: found["ledger"]["steps"][0]["outcomes"] == {"sent": 4})
    assert len(sandbox.mails) == 4


async def test_a_zone_that_is_none_is_the_default_and_the_reason_says_so(settings: Settings, sandbox: Sandbox) -> None:
    """At 05:00 in UTC, 10:30 in Kolkata."""
    hostile = "<script>\r\n\x1b\u202e" + "x" * 1_000
    names = [None, "", "Mars/Olympus", hostile, 7, {"a": 1}, "../../etc/passwd", "Asia/Kolkata"]
    async with at(settings, sandbox, "07-01 05:00") as system:
        await system.publish(journey(**DAY, default_timezone="Europe/Stockholm"))
        batch = await system.start(file(*names))
        await system.until(batch, lambda found: found["ledger"]["steps"][0]["outcomes"] == {"sent": 1})
        assert got(system) == {7}
        lines = dict[str, str]()
        for number in range(7):
            (line,) = await system.lines(f"batches/{batch}/journal?contact={number}&step=mail")
            lines[str(number)] = line["detail"]
        assert lines["0"].endswith("in Europe/Stockholm (the contact names no time zone)")
        assert all("08:00 in Europe/Stockholm" in lines[str(number)] for number in range(7))
        assert all(each.isprintable() for each in lines.values())
        assert max(map(len, lines.values())) < 200
        await system.turn(hours=2)
        await system.until(batch, lambda found: found["ledger"]["steps"][0]["outcomes"] == {"sent": 8})


async def test_who_is_left_out_goes_on_with_the_reason_in_the_journal(settings: Settings, sandbox: Sandbox) -> None:
    """Good Friday in Sweden."""
    async with at(settings, sandbox, "03-26 10:00") as system:
        await system.publish(journey(days="[mon, tue, wed, thu, fri]", holidays="SE", otherwise="skip"))
        batch = await system.start(file(*[None] * 25))
        found = await system.until(batch, lambda found: found["ledger"]["steps"][0]["outcomes"] == {"quiet_hours": 25})
        assert found["ledger"]["steps"][1]["standing"] == 25
        lines = await system.lines(f"batches/{batch}/journal?outcome=quiet_hours")
        assert {each["detail"] for each in lines} == {
            "outside of the hours of its step, which open next at 2027-03-30 00:00 in UTC"
        }
    assert not sandbox.mails


async def test_those_that_stood_are_released_evenly_in_a_few_steps(settings: Settings, sandbox: Sandbox) -> None:
    async with at(settings, sandbox, "07-01 05:00") as system:
        await system.publish(journey(**DAY, spread="20 minutes"))
        batch = await system.start(file(*["UTC"] * 400))
        await system.until(batch, lambda found: (found["waiting"] or {}).get("contacts") == 400)
        cohorts = await standing(system)
        assert len(cohorts) <= 4 * 8, "of each cohort of 100 a few"
        assert sum(each["size"] for each in cohorts) == 400
        opens = datetime(2027, 7, 1, 8, tzinfo=UTC)
        minutes = [(each["due_at"] - opens) / timedelta(minutes=1) for each in cohorts]
        assert min(minutes) >= 0
        assert max(minutes) < 20
        assert len({round(each, 3) for each in minutes}) > 8, "cohorts do not meet"
        halves = [
            sum(each["size"] for each, when in zip(cohorts, minutes, strict=True) if (when < 10) is first)
            for first in (True, False)
        ]
        assert min(halves) > 130, halves
        await system.turn(hours=3, minutes=10)
        found = await system.until(batch, lambda found: found["ledger"]["steps"][0]["standing"] < 300)
        assert found["ledger"]["steps"][0]["standing"] > 100, "the others still stand"
        await system.turn(minutes=10)
        await system.until(batch, lambda found: found["ledger"]["steps"][0]["outcomes"] == {"sent": 400})


async def test_hours_that_close_while_a_window_is_sent_hold_back_the_rest_of_it(
    settings: Settings, sandbox: Sandbox
) -> None:
    async with at(settings, sandbox, "07-01 20:59:30") as system:

        def script(stage: Stage, mail: Received) -> None:
            if stage is Stage.MAIL and len(sandbox.mails) == 4 and system.clock.now().hour == 20:
                system.clock.turn(timedelta(minutes=1))

        sandbox._script = script
        system.engine.settings.__dict__["smtp_connections"] = 1
        await system.publish(journey(**DAY))
        batch = await system.start(file(*["UTC"] * 10))
        found = await system.until(
            batch, lambda found: "quiet hours until 2027-07-02 08:00 in UTC" in (found["waitingFor"] or "")
        )
        sent = found["ledger"]["steps"][0]["outcomes"]["sent"]
        assert sent == len(sandbox.mails) < 10
        assert {each["attempt"] for each in await standing(system)} == {1}, "it counts as no attempt"


async def test_no_message_is_written_for_whom_it_is_too_early(settings: Settings, sandbox: Sandbox) -> None:
    """Nor does one that can't be written fail then: its contact may learn more until its time comes."""
    async with at(settings, sandbox, "07-01 22:00") as system:
        await system.publish(journey(**DAY).replace('"{{ emailAddress }}"', '"{{ missing }}"'))
        batch = await system.start(file(*["UTC"] * 5))
        found = await system.until(batch, lambda found: (found["waiting"] or {}).get("contacts") == 5)
        assert found["ledger"]["steps"][0]["outcomes"] == {}
        await system.turn(hours=10, minutes=30)
        await system.until(batch, lambda found: found["ledger"]["steps"][0]["outcomes"] == {"failed": 5})


async def test_a_cancel_recalls_those_that_stand_for_their_hours(settings: Settings, sandbox: Sandbox) -> None:
    async with at(settings, sandbox, "07-01 22:00") as system:
        await system.publish(journey(**DAY))
        batch = await system.start(file(*["UTC"] * 5))
        await system.until(batch, lambda found: (found["waiting"] or {}).get("reason") is not None)
        assert (await system.post(f"batches/{batch}/cancel", {})).status_code == 200
        assert (await system.batch(batch))["ledger"]["steps"][0]["outcomes"] == {"cancelled": 5}
