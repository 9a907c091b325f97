"""The settings pages: who may manage what, what is shown once, and the audit log."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import pytest

from caravan.access.audit import Actor, ActorKind, entries, record
from caravan.access.users import Role, add_user, users_of
from caravan.store.customers import add_customer, create_token, list_tokens
from caravan.store.database import row
from tests.integration.conftest import System
from tests.integration.console.test_console import HOSTILE, browser, sign_in, signed_in
from tests.integration.journeys_for_tests import EXIT, contacts


@pytest.fixture
async def http(idle_system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(idle_system.engine) as http:
        yield http


@pytest.fixture
async def owner(http: httpx.AsyncClient, idle_system: System) -> httpx.AsyncClient:
    await signed_in(http, idle_system, Role.OWNER)
    return http


def path_of(system: System, rest: str = "") -> str:
    return f"/console/{system.customer}/settings{rest}"


async def post(http: httpx.AsyncClient, path: str, once: str = "", **fields: str) -> httpx.Response:
    return await http.post(path, data={"once": once or datetime.now(UTC).isoformat(), **fields})


def secret_in(page: httpx.Response) -> str:
    found = re.search(r'<input class="id" value="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


async def acts(system: System) -> list[str]:
    async with system.engine.pool.connection() as connection:
        return [each.act for each in await entries(connection, system.customer)]


async def role_of(system: System, email: str) -> Role | None:
    async with system.engine.pool.connection() as connection:
        return {each.email: each.role for each in await users_of(connection, system.customer)}.get(email)


async def test_a_token_is_shown_once_works_and_is_in_no_address_and_no_cookie(
    idle_system: System, owner: httpx.AsyncClient
) -> None:
    path = path_of(idle_system)
    made = await post(owner, path, once="1", act="create_token", name="nightly job")
    token = secret_in(made)
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    assert "location" not in made.headers and "set-cookie" not in made.headers
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await idle_system.http.get(idle_system.path("batches"), headers=bearer)).status_code == 200
    page = (await owner.get(path)).text
    assert "nightly job" in page and token not in page and token.split("_", 2)[2] not in page
    assert f"by owner-{idle_system.customer}@example.com" in page
    again = await post(owner, path, once="1", act="create_token", name="nightly job")  # as a reload sends it
    assert (again.status_code, again.headers["location"]) == (303, path)
    async with idle_system.engine.pool.connection() as connection:
        assert [each.name for each in await list_tokens(connection, idle_system.customer)] == ["test", "nightly job"]
        logged = json.dumps([[each.subject, each.detail] for each in await entries(connection, idle_system.customer)])
    assert token.split("_", 2)[2] not in logged


async def test_a_token_is_revoked_after_a_question(idle_system: System, owner: httpx.AsyncClient) -> None:
    path, identity = path_of(idle_system, "/confirm"), idle_system.token.split("_")[1]
    asked = await owner.get(path, params={"act": "revoke", "of": identity})
    assert f"Revoke the token “test” ({identity})?" in asked.text and ">Confirm</button>" in asked.text
    assert (await idle_system.get("batches")).status_code == 200
    done = await post(owner, f"{path}?act=revoke&of={identity}")
    assert (done.status_code, done.headers["location"]) == (303, path_of(idle_system))
    await idle_system.turn(seconds=6)
    assert (await idle_system.get("batches")).status_code == 401
    again = await post(owner, f"{path}?act=revoke&of={identity}")
    assert (again.status_code, "There is no such token" in again.text) == (400, True)
    assert (await acts(idle_system)).count("revoke_token") == 1


async def test_a_user_is_added_gets_another_role_and_is_removed(idle_system: System, owner: httpx.AsyncClient) -> None:
    path = path_of(idle_system)
    first = secret_in(await post(owner, path, act="give_role", email="Anna@example.com", role="viewer"))
    async with browser(idle_system.engine) as anna:
        answer = await sign_in(anna, "anna@example.com", first)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console")
        changed = await post(owner, path, act="give_role", email="anna@example.com", role="editor")
        assert (changed.status_code, await role_of(idle_system, "anna@example.com")) == (303, Role.EDITOR)
        reset = await post(owner, f"{path}/confirm?act=reset&of=anna@example.com")
        assert secret_in(reset) != first
        assert (await anna.get("/console")).headers["location"].startswith("/console/login")
        await sign_in(anna, "anna@example.com", secret_in(reset))
        assert (await anna.get("/console")).headers["location"] == "/console/password"
        assert (await post(owner, f"{path}/confirm?act=sign-out&of=anna@example.com")).status_code == 303
        assert (await anna.get("/console")).headers["location"].startswith("/console/login")
    assert (await post(owner, f"{path}/confirm?act=remove&of=anna@example.com")).status_code == 303
    assert await role_of(idle_system, "anna@example.com") is None
    assert (await acts(idle_system))[:5] == ["remove_user", "end_sessions", "reset_password", "set_role", "add_user"]


async def test_the_last_owner_can_not_be_removed_nor_become_less(idle_system: System, owner: httpx.AsyncClient) -> None:
    me = f"owner-{idle_system.customer}@example.com"
    removed = await post(owner, path_of(idle_system, f"/confirm?act=remove&of={me}"))
    lowered = await post(owner, path_of(idle_system), act="give_role", email=me, role="viewer")
    for answer in (removed, lowered):
        assert (answer.status_code, "is the last owner here" in answer.text) == (400, True)
    assert await role_of(idle_system, me) is Role.OWNER


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
async def test_who_is_no_owner_sees_a_sentence_and_changes_nothing(
    idle_system: System, http: httpx.AsyncClient, role: Role
) -> None:
    await signed_in(http, idle_system, role)
    me, path = f"{role}-{idle_system.customer}@example.com", path_of(idle_system)
    identity = idle_system.token.split("_")[1]
    page = await http.get(path)
    assert (page.status_code, "managed by an owner" in page.text) == (200, True)
    assert "30 days after their batch has ended" in page.text
    assert identity not in page.text and "Make token" not in page.text and "Add user" not in page.text
    log = await http.get(f"{path}/audit")
    assert (log.status_code, "shown to owners only" in log.text) == (200, True)
    before = await acts(idle_system)
    tried = [
        await http.get(f"{path}/audit?format=csv"),
        await http.get(f"{path}/confirm?act=revoke&of={identity}"),
        await post(http, path, act="create_token", name="mine"),
        await post(http, path, act="give_role", email=me, role="owner"),
        await post(http, path, act="give_role", email="new@example.com", role="owner"),
        await post(http, f"{path}/confirm?act=revoke&of={identity}"),
        await post(http, f"{path}/confirm?act=reset&of={me}"),
        await post(http, f"{path}/confirm?act=remove&of={me}"),
        await post(http, f"{path}/confirm?act=sign-out&of={me}"),
    ]
    assert {each.status_code for each in tried} == {403}
    assert (await role_of(idle_system, me), await acts(idle_system)) == (role, before)
    assert (await idle_system.get("batches")).status_code == 200


async def test_an_owner_reaches_nothing_of_another_customer(idle_system: System, owner: httpx.AsyncClient) -> None:
    system, path = idle_system, path_of(idle_system)
    async with system.engine.pool.connection() as connection:
        other = await add_customer(connection, f"other {system.customer}", system.clock.now())
        token = await create_token(connection, other, "theirs", system.clock.now())
        first = await add_user(connection, "ceo@example.com", other, Role.OWNER)
        await record(connection, Actor(ActorKind.USER, "ceo@example.com", other), "pause", "batch b_theirs")
    assert first is not None
    identity = token.split("_")[1]
    for act in ("reset", "sign-out", "remove"):
        answer = await post(owner, f"{path}/confirm?act={act}&of=ceo@example.com")
        assert (answer.status_code, 'class="id" value=' in answer.text) == (400, False), act
    taken = await post(owner, path, act="give_role", email="ceo@example.com", role="viewer")
    assert (taken.status_code, "ask the operator" in taken.text) == (400, True)
    assert (await post(owner, f"{path}/confirm?act=revoke&of={identity}")).status_code == 400
    for rest in ("", "/audit", "/audit?format=csv", "/confirm?act=revoke&of=x"):
        assert (await owner.get(f"/console/{other}/settings{rest}")).status_code == 404, rest
    everything = await owner.get(f"{path}/audit?all=1")
    assert "b_theirs" not in everything.text
    assert "b_theirs" not in (await owner.get(f"{path}/audit?all=1&format=ndjson")).text
    async with browser(system.engine) as ceo:
        assert (await sign_in(ceo, "ceo@example.com", first)).status_code == 303
    assert (
        await system.http.get(f"/{system.customer}/audit", headers={"Authorization": f"Bearer {token}"})
    ).status_code == 401


async def test_a_form_without_its_word_and_one_that_is_none_are_refused(
    idle_system: System, owner: httpx.AsyncClient
) -> None:
    path = path_of(idle_system)
    assert (await owner.post(path, data={"act": "create_token", "name": "x"})).status_code == 400
    assert (await post(owner, path, act="drop")).status_code == 400
    assert (await post(owner, path, act="give_role", email="a@example.com", role="god")).status_code == 400
    assert (await post(owner, path, act="give_role", email="nonsense", role="viewer")).status_code == 400
    for query in ("act=revoke&of=%00", "act=reset&of=%00", "act=reset&of=nobody@example.com"):
        assert (await post(owner, f"{path}/confirm?{query}")).status_code == 400, query
    for query in ("who=%00", "from=yesterday", "to=2026-99-99", "before=x", "format=xlsx"):
        assert (await owner.get(f"{path}/audit?{query}")).status_code == 400, query
    for query in ("", "?act=nothing&of=x", "?act=revoke"):
        assert (await owner.get(f"{path}/confirm{query}")).headers["location"] == path, query


async def test_hostile_names_are_text_on_every_settings_page(idle_system: System, owner: httpx.AsyncClient) -> None:
    path = path_of(idle_system)
    await post(owner, path, act="create_token", name=HOSTILE)
    mail = '"><script>alert(1)</script>@example.com'
    await post(owner, path, act="give_role", email=mail, role="viewer")
    shown = ""
    for address in (path, f"{path}/audit", f"{path}/audit?who={HOSTILE}", f"{path}/confirm?act=reset&of={HOSTILE}"):
        text = (await owner.get(address)).text
        assert "<img src=x" not in text and "<script>alert" not in text, address
        shown += unescape(text)
    assert HOSTILE in shown and mail in shown


async def _entries(system: System, count: int) -> datetime:
    first = datetime(2026, 11, 20, tzinfo=UTC)
    async with system.engine.pool.connection() as connection:
        for number in range(count):
            actor = Actor(ActorKind.USER, f"user-{number % 2}@example.com", system.customer, "192.0.2.9")
            at = first + timedelta(hours=number)
            await record(connection, actor, "pause" if number % 3 else "resume", f"batch {number}", None, at=at)
    return first


async def test_the_audit_log_has_pages_and_filters(idle_system: System, owner: httpx.AsyncClient) -> None:
    await _entries(idle_system, 60)
    path = path_of(idle_system, "/audit")
    seen: list[str] = []
    address: str | None = f"{path}?to=2026-11-25"
    while address:
        text = (await owner.get(address)).text
        seen += re.findall(r">batch (\d+)<", text)
        older = re.search(r'href="([^"]+)" rel="next"', text)
        address = unescape(older[1]) if older else None
    assert seen == [str(number) for number in range(59, -1, -1)]

    async def subjects(query: str) -> set[int]:
        return {int(each) for each in re.findall(r">batch (\d+)<", (await owner.get(f"{path}?{query}")).text)}

    assert await subjects("from=2026-11-21&to=2026-11-21") == set(range(24, 48))
    assert await subjects("who=user-1@example.com&act=resume&to=2026-11-25") == set(range(3, 60, 6))
    assert "No act is like this" in (await owner.get(f"{path}?who=nobody")).text


async def test_exports_are_whole_and_no_spreadsheet_takes_them_for_formulas(
    idle_system: System, owner: httpx.AsyncClient
) -> None:
    system, path = idle_system, path_of(idle_system, "/audit")
    await _entries(system, 30)
    async with system.engine.pool.connection() as connection:
        for odd in ("=1+1", "+1", "-1", "@x", '=HYPERLINK("http://x")', 'a,b\n"c"'):
            await record(connection, Actor(ActorKind.TOKEN, odd, system.customer, None, odd), odd, odd, {"odd": odd})
        found = await entries(connection, system.customer, limit=1_000)
    answer = await owner.get(f"{path}?format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert re.fullmatch(r'attachment; filename="audit-[\d-]+\.csv"', answer.headers["content-disposition"])
    lines = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert len(lines) == 1 + len(found)
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line)
    assert lines[1][2] == 'a,b\n"c"' and lines[2][2] == '\'=HYPERLINK("http://x")'
    told = [json.loads(line) for line in (await owner.get(f"{path}?format=ndjson")).text.splitlines()]
    assert [each["act"] for each in told] == [each.act for each in found]
    assert told == await system.lines("audit")
    assert [each["who"] for each in await system.lines("audit?act=%3D1%2B1")] == ["=1+1"]
    assert (await system.get("audit?aktor=x")).status_code == 400


async def test_an_operator_sees_the_whole_installation(idle_system: System, owner: httpx.AsyncClient) -> None:
    path = path_of(idle_system, "/audit?all=1")
    assert "sign in" not in (await owner.get(path)).text
    async with idle_system.engine.pool.connection() as connection:
        await connection.execute("update users set is_operator = true")
        assert await row(connection, "select from users where is_operator") is not None
    page = (await owner.get(path)).text
    assert "sign in" in page and "Whole installation" in page


async def test_what_is_kept_is_told_as_it_is_set_for_the_customer(
    idle_system: System, owner: httpx.AsyncClient
) -> None:
    assert (
        "30 days after their batch has ended, as this installation is set"
        in (await owner.get(path_of(idle_system))).text
    )
    async with idle_system.engine.pool.connection() as connection:
        await connection.execute("update customers set retention_days = 1")
    assert (
        "1 day after their batch has ended, as is set for this customer" in (await owner.get(path_of(idle_system))).text
    )


async def test_an_owner_changes_for_how_long_contacts_are_kept_and_is_told_what_that_deletes(
    system: System,
) -> None:
    await system.publish(EXIT)
    batch = await system.start(contacts(3))
    await system.ended(batch)
    await system.turn(days=20)
    async with browser(system.engine) as owner:
        await signed_in(owner, system, Role.OWNER)
        asked = await owner.get(path_of(system, "/retention?days=10"))
        assert "This deletes the contacts, rejects and journal of 1 batch" in asked.text
        assert "more than 10 days ago, with 3 contacts" in asked.text
        assert "Nothing is deleted now" in (await owner.get(path_of(system, "/retention?days=25"))).text
        done = await owner.post(path_of(system, "/retention"), data={"days": "25"})
        assert (done.status_code, done.headers["location"]) == (303, path_of(system))
        assert "25 days after their batch has ended" in (await owner.get(path_of(system))).text
        for wrong in ("-1", "x", "36501", "٣", "9" * 30, HOSTILE):
            refused = await owner.post(path_of(system, "/retention"), data={"days": wrong})
            assert (refused.status_code, HOSTILE in refused.text) == (400, False), wrong
        await owner.post(path_of(system, "/retention"), data={"days": ""})
        assert "as this installation is set" in (await owner.get(path_of(system))).text
    assert [each for each in await acts(system) if each == "set_retention"] == ["set_retention"] * 2


async def test_who_is_no_owner_does_not_change_for_how_long_contacts_are_kept(
    idle_system: System, http: httpx.AsyncClient
) -> None:
    await signed_in(http, idle_system, Role.EDITOR)
    assert "Days to keep contacts" not in (await http.get(path_of(idle_system))).text
    assert (await http.get(path_of(idle_system, "/retention?days=1"))).status_code == 403
    assert (await http.post(path_of(idle_system, "/retention"), data={"days": "1"})).status_code == 403
    assert "set_retention" not in await acts(idle_system)
