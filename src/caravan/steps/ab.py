"""A/B: contacts are dealt out by weight; the same contact always takes the same arm."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from math import ceil
from typing import Annotated, Any, ClassVar

import duckdb
import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, PlainSerializer

from caravan.journeys.model_part import DefinitionPart
from caravan.steps.event_counts import EventCounts
from caravan.steps.sort import Arms, SortStep
from caravan.steps.why import Why

_POINTS = 2**64  # a contact stands at one of so many points; each arm owns a stretch of them


def _positive(value: Any) -> Decimal:
    try:
        weight = Decimal(str(value).strip())
    except InvalidOperation:
        weight = Decimal(0)
    if not weight.is_finite() or not Decimal("0.000001") <= weight <= 10**9:
        raise ValueError("a weight is a positive number, like 50 or 0.5")
    return weight


def _as_number(weight: Decimal) -> int | float:
    return int(weight) if weight == int(weight) else float(weight)


def point(step_id: str, contact_id: str) -> int:
    """Where a contact stands between 0 and 2^64 - 1 at a step: the first 8 bytes of a SHA-256, big-endian.

    Never to be changed: journeys under way rely on it, and so do comparisons of batches.
    """
    return int.from_bytes(sha256(f"{step_id}\n{contact_id}".encode()).digest()[:8], "big")


def bounds(weights: Iterable[Decimal | int]) -> list[int]:
    """The first point after each arm but the last, exactly."""
    sums = list(accumulate(Fraction(weight) for weight in weights))
    return [ceil(each * _POINTS / sums[-1]) for each in sums[:-1]]


class Arm(DefinitionPart):
    """`{weight: 50, to: step}`. Weights are relative to their sum."""

    weight: Annotated[Decimal, BeforeValidator(_positive), PlainSerializer(_as_number)]
    to: str


class AB(SortStep):
    """`ab: [{weight: 50, to: a}, {weight: 50, to: b}]`."""

    kind: ClassVar[str] = "ab"
    sole: ClassVar[str | None] = "arms"

    arms: tuple[Arm, ...]

    def arm(self, contact_id: str) -> int:
        """The index of the arm that this contact takes."""
        return bisect_right(self._bounds, point(self.id, contact_id))

    @cached_property
    def _bounds(self) -> list[int]:
        return bounds(arm.weight for arm in self.arms)

    def targets(self) -> list[tuple[str, str]]:
        return [(f"ab[{index}].to", arm.to) for index, arm in enumerate(self.arms)]

    def captions(self) -> list[str]:
        whole = sum(arm.weight for arm in self.arms)
        return [f"{float(100 * arm.weight / whole):.3g} %" for arm in self.arms]

    @property
    def summary(self) -> str:
        return f"{len(self.arms)} arms by chance"

    def check(self) -> Iterator[tuple[str, str]]:
        if len(self.arms) < 2:
            yield "ab", "an A/B step needs at least two arms"
        if self.next is not None:
            yield "next", "every contact takes one of the arms, so next is never used"

    @property
    def ways(self) -> list[str | None]:
        return [arm.to for arm in self.arms]

    def choose(self, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, now: datetime, counts: EventCounts) -> Arms:
        """Deal the contacts out."""
        return np.array([self.arm(contact) for contact in contacts["id"].to_pylist()], dtype=np.int64)

    def explain(
        self, contact: str, properties: str, duck: duckdb.DuckDBPyConnection, now: datetime, counts: EventCounts
    ) -> Why:
        """Its arm, among the weights of all."""
        taken = self.arm(contact)
        share = point(self.id, contact) / _POINTS
        return Why(taken, self.arms[taken].to, arms=[(arm.weight, arm.to) for arm in self.arms], share=share)
