"""A single start is answered the same, whether it is taken before the router or by its route."""

from collections.abc import AsyncIterator
from itertools import product

import httpx
import pytest

from caravan.api import lean
from caravan.api.app import create_app
from tests.integration.conftest import System
from tests.integration.journeys_for_tests import WAIT

_GOOD = b'{"id": "1", "properties": {"a": 1}}'
_BODIES = [_GOOD, b"", b"{", b"[]", b'{"id": ""}', b'{"id": "1", "properties": 7}', b"\xff", b"x" * (5 << 20)]
_PATHS = ["journeys/1/commence", "journeys/9/commence", "journeys/0/commence", "journeys/x/commence"]
_PATHS += [f"journeys/{10**17}/commence", f"journeys/{10**18}/commence", f"journeys/{2**63}/commence"]
_PATHS += ["journeys/01/commence", "journeys/1/commence/", "journeys/1/commence?", "journeys/1/commence?a=b"]


@pytest.fixture
async def other(idle_system: System, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the same engine, all of whose calls go through the router."""
    app = create_app(idle_system.engine)
    app.user_middleware = [each for each in app.user_middleware if each.cls is not lean.Lean]  # type: ignore[comparison-overlap]
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://caravan.test") as http:
        yield http


async def _same(system: System, other: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str]) -> int:
    found = []
    for http in (system.http, other):
        request = http.build_request("POST", path, content=body)
        request.headers.pop("authorization", None)
        request.headers.update(headers)
        found.append(await http.send(request))
    one, two = found
    kept = ("content-type", "www-authenticate", "allow", "content-length")
    assert one.status_code == two.status_code, (path, headers)
    assert one.text == two.text, (path, headers)
    assert [one.headers.get(name) for name in kept] == [two.headers.get(name) for name in kept]
    return one.status_code


async def test_paths_and_bodies(idle_system: System, other: httpx.AsyncClient) -> None:
    system = idle_system
    await system.publish(WAIT)
    token = {"Authorization": f"Bearer {system.token}"}
    met = {
        await _same(system, other, f"{prefix}{system.customer}/{path}", body, token)
        for prefix, path, body in product(("/", "/rest/"), _PATHS, _BODIES)
    }
    assert met == {202, 400, 404, 413}


async def test_who_calls(idle_system: System, other: httpx.AsyncClient) -> None:
    system = idle_system
    await system.publish(WAIT)
    token = system.token
    calls: list[dict[str, str]] = [
        {},
        *({"Authorization": f"{kind}{token}"} for kind in ("Bearer ", "bearer ", "Bearer   ", "Basic ", "")),
        *({"Authorization": value} for value in ("Bearer", "Bearer wrong", "Bearer crv_1_2")),
        {"X-Carma-Authentication-Token": token},
        {"X-Carma-Authentication-Token": "wrong", "Authorization": f"Bearer {token}"},
        {"X-Carma-Authentication-Token": token, "Authorization": "Bearer wrong"},
        {"X-Carma-Authentication-Token": "", "Authorization": f"Bearer {token}"},
    ]
    customers = (str(system.customer), "9", "0", "01001", "x", str(10**18), str(2**64))
    met = [
        await _same(system, other, f"/{customer}/journeys/1/commence", _GOOD, headers)
        for customer, headers in product(customers, calls)
    ]
    assert set(met) == {202, 401}


async def test_keys(idle_system: System, other: httpx.AsyncClient) -> None:
    system = idle_system
    await system.publish(WAIT)
    path, token = f"/{system.customer}/journeys/1/commence", {"Authorization": f"Bearer {system.token}"}
    met = [
        await _same(system, other, each, body, {**token, "Idempotency-Key": key})
        for key in ("a", "b", "", "x" * 300)
        for body in (_GOOD, b'{"id": "2"}', b"{")
        for each in (path, f"/rest{path}")
    ]
    assert set(met) == {202, 400, 409}
