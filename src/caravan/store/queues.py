"""The queues, which keep downloading, reading, moving and sending from delaying each other; and the tasks."""

from enum import StrEnum


class Queue(StrEnum):
    """A process that serves a queue has a Procrastinate worker for it (`caravan worker --queues`)."""

    FETCH = "fetch"
    INTAKE = "intake"
    SPANS = "spans"
    SINGLES = "singles"
    ADVANCE = "advance"
    DELIVER = "deliver"
    PACED = "paced"
    UPKEEP = "upkeep"


class Task(StrEnum):
    """What a job does (engine/tasks.py)."""

    FETCH = "fetch"
    COLLECT = "collect"
    READ = "read"
    SPAN = "span"
    JOIN = "join"
    GATHER = "gather"
    ADVANCE = "advance"
    MATCH = "match"
    TIDY = "tidy"
    LOOK = "look"
    JUDGE = "judge"
    ERASE = "erase"
    MOVE_WAITING = "move_waiting"
