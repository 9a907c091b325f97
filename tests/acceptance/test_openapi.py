"""What /openapi.json says is what the API does: calls made of the description itself find no disagreement."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.acceptance.conftest import up
from tests.examples import many

JOURNEY = Path(__file__).parents[2] / "examples" / "spring.yaml"
CONTACTS = Path(__file__).parents[2] / "examples" / "contacts.ndjson"
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]


#: What stands in a path where the customer's number does, in addresses of other things, which are no API.
ELSEWHERE = {"a", "c", "console", "docs", "healthz", "metrics", "o", "readyz", "rest", "returns", "u", "uploads"}


@dataclass(frozen=True, slots=True)
class Described:
    """A running system with a journey and a batch, and what it says of itself."""

    schema: Any
    customer: str
    token: str
    batch: str
    held: str  # a batch that is held for review


@pytest.fixture(scope="module")
def described(shared_folder: Path) -> Iterator[Described]:
    with up(shared_folder) as running, running.client() as client:
        client.publish(4711, JOURNEY.read_text())
        batch = client.start_file(4711, CONTACTS).batch
        held = client.wait(client.start_file(4711, CONTACTS, hold=True).batch, "held").id
        schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        yield Described(schema, running.told["customer"], running.told["token"], batch, held)


def test_the_description_and_the_api_agree(described: Described) -> None:
    """Half of the made-up numbers are exchanged for those of a customer, a journey and a batch that there are."""
    tried = 0
    for found in described.schema.get_all_operations():
        operation = found.ok()
        if not operation.path.endswith("/{batchid}/events"):  # they go on as long as the batch does
            _check(operation, described)
            tried += 1
    assert tried >= 20


def _check(operation: Any, described: Described) -> None:
    batch = described.held if operation.path.endswith("/preflight") else described.batch
    real = {"customerid": described.customer, "journeyid": 4711, "batchid": batch}
    headers = {"Authorization": f"Bearer {described.token}"}

    @settings(max_examples=many(80), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy(), known=st.booleans())
    def check(case: Any, known: bool) -> None:
        if known:
            case.path_parameters.update({name: real[name] for name in case.path_parameters if name in real})
        if case.path_parameters.get("customerid") in ELSEWHERE:
            case.path_parameters["customerid"] = described.customer
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=30)

    check()
