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
import numpy.typing as npt
import pyarrow as pa
from pydantic import BeforeValidator, PlainSerializer

from caravan.errors import InvalidInput
from caravan.journeys.model_part import DefinitionPart
from caravan.journeys.segment_tree import Counted
from caravan.journeys.segments import Amount, compile_amount, each_amount
from caravan.steps.event_counts import EventCounts
from caravan.steps.sort import Arms, SortStep
from caravan.steps.why import Why

_POINTS = 2**64  # a contact stands at one of so many points; each arm owns a stretch of them


def _weight(value: Any) -> Decimal | str:
    """A number as it is, and what is reckoned for each contact as its text."""
    text = str(value).strip()
    try:
        weight = Decimal(text)
    except InvalidOperation:
        try:
            compile_amount(text)
        except InvalidInput as error:
            raise ValueError(
                f"a weight is a positive number, like 50 or 0.5, or counts events, like 1 + count('opened', 30 days): "
                f"{error.message}"
            ) from None
        return text
    if not weight.is_finite() or not Decimal("0.000001") <= weight <= 10**9:
        raise ValueError("a weight is a positive number, like 50 or 0.5")
    return weight


def _as_written(weight: Decimal | str) -> int | float | str:
    if isinstance(weight, str):
        return weight
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


def dealt(points: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> Arms:
    """The arm of each contact, which stands at a point from 0 to 1 and weighs the arms by its row of `weights`; all
    alike, if it weighs none."""
    weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, 1.0)
    ends = np.cumsum(weights, axis=1)
    found: Arms = (ends[:, :-1] <= (points * ends[:, -1])[:, None]).sum(axis=1)
    return found


class Arm(DefinitionPart):
    """`{weight: 50, to: step}`. Weights are relative to their sum. One may be reckoned for each contact."""

    weight: Annotated[Decimal | str, BeforeValidator(_weight), PlainSerializer(_as_written)]
    to: str


class AB(SortStep):
    """`ab: [{weight: 50, to: a}, {weight: 50, to: b}]`."""

    kind: ClassVar[str] = "ab"
    sole: ClassVar[str | None] = "arms"

    arms: tuple[Arm, ...]

    def arm(self, contact_id: str) -> int:
        """The index of the arm that this contact takes, where no weight is reckoned."""
        return bisect_right(self._bounds, point(self.id, contact_id))

    @cached_property
    def _bounds(self) -> list[int]:
        return bounds(self._fixed)

    @property
    def _fixed(self) -> list[Decimal]:
        return [arm.weight for arm in self.arms if isinstance(arm.weight, Decimal)]

    @cached_property
    def _amounts(self) -> list[Amount]:
        """All weights, if some are reckoned; else none."""
        if len(self._fixed) == len(self.arms):
            return []
        return [compile_amount(str(arm.weight)) for arm in self.arms]

    @cached_property
    def _counts(self) -> list[Counted]:
        return list(dict.fromkeys(each for amount in self._amounts for each in amount.counts))

    @property
    def asks_the_clock(self) -> bool:
        return bool(self._counts)

    def _weights(
        self, contacts: pa.Table, duck: duckdb.DuckDBPyConnection, now: datetime, counts: EventCounts
    ) -> npt.NDArray[np.float64]:
        """A row for each contact, a column for each arm."""
        with duck.cursor() as cursor:
            cursor.register("contacts", counts.with_counts(contacts.select(["id", "properties"]), self._counts, now))
            found = cursor.execute(each_amount(self._amounts, now)).fetchnumpy()
        return np.column_stack([found[f"n{place}"] for place in range(len(self.arms))])

    def targets(self) -> list[tuple[str, str]]:
        return [(f"ab[{index}].to", arm.to) for index, arm in enumerate(self.arms)]

    def captions(self) -> list[str]:
        if self._amounts:
            return [f"weight {arm.weight}" for arm in self.arms]
        return [f"{float(100 * weight / sum(self._fixed)):.3g} %" for weight in self._fixed]

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
        if self._amounts:
            points = np.array([point(self.id, contact) for contact in contacts["id"].to_pylist()], np.float64)
            return dealt(points / _POINTS, self._weights(contacts, duck, now, counts))
        return np.array([self.arm(contact) for contact in contacts["id"].to_pylist()], dtype=np.int64)

    def explain(
        self, contact: str, properties: str, duck: duckdb.DuckDBPyConnection, now: datetime, counts: EventCounts
    ) -> Why:
        """Its arm, among the weights of all, as they are for this contact."""
        one = pa.table({"id": [contact], "properties": [properties]})
        taken = int(self.choose(one, duck, now, counts)[0])
        weights = self._fixed
        if self._amounts:
            weights = [Decimal(repr(each)) for each in self._weights(one, duck, now, counts)[0].tolist()]
        arms = [(weight, arm.to) for weight, arm in zip(weights, self.arms, strict=True)]
        return Why(taken, self.arms[taken].to, arms=arms, share=point(self.id, contact) / _POINTS)
