"""The queues of Procrastinate: downloading, reading, moving and sending never stand in each other's way."""

from enum import StrEnum


class Queue(StrEnum):
    """A worker serves each queue with workers of its own (`caravan worker --queues`)."""

    FETCH = "fetch"
    INTAKE = "intake"
    SPANS = "spans"
    SINGLES = "singles"
    ADVANCE = "advance"
    DELIVER = "deliver"
    UPKEEP = "upkeep"
