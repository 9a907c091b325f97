"""What each worker process of a machine gets of it: all of them together take about what a single one may take.

A worker is one Python process, so it uses one core for most of its work. A command that runs workers starts one process
for each core, and divides what the settings allow a machine among them.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from math import ceil
from pathlib import Path

from caravan.settings import MIB, Settings, memory_bytes
from caravan.store.queues import Queue

#: Worker processes by default, at most. PostgreSQL, the API and the relay need cores too, and each process has
#: connections of its own.
MOST_WORKERS = 16
_READERS = 2  # processes that read files: one reading uses all threads, and some hundred MiB
_LEAST_MEMORY = 256 * MIB  # for DuckDB in one process; rows may be as long as 1 MiB
_LEAST_CONNECTIONS = 3
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # Linux, cgroup v2: "MAX PERIOD" in microseconds, MAX may be "max"


def usable_cores(quota: Path = _QUOTA) -> int:
    """The cores that this process may use: those it is pinned to, and no more than its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        most, period = quota.read_text().split()
        cores = min(cores, ceil(int(most) / int(period)))
    return max(1, cores)


def worker_count(settings: Settings) -> int:
    """How many worker processes a command runs: as many as the setting says, else one for each usable core."""
    return settings.workers or min(usable_cores(), MOST_WORKERS)


def share(settings: Settings, workers: int) -> Settings:
    """The settings of one of so many worker processes of a machine."""
    connections = max(_LEAST_CONNECTIONS, 2 * settings.database_connections // workers)
    memory = max(_LEAST_MEMORY, memory_bytes(settings.duckdb_memory) // workers)
    return settings.model_copy(
        update={
            "threads": settings.threads or usable_cores(),
            "duckdb_memory": f"{min(memory, memory_bytes(settings.duckdb_memory)) // MIB}MiB",
            "database_connections": min(settings.database_connections, connections),
            "smtp_connections": max(1, settings.smtp_connections // workers),
            "sms_connections": max(1, settings.sms_connections // workers),
            "webhook_connections": max(1, settings.webhook_connections // workers),
        }
    )


def queues_of_process(queues: Mapping[str, int], number: int) -> dict[str, int]:
    """The queues that worker process `number` (from 1) of a machine serves: the first one does the chores, two read
    files, all of them move and send."""
    left_out = set[str]()
    if number > 1:
        left_out.add(Queue.UPKEEP)
    if number > _READERS:
        left_out |= {Queue.INTAKE, Queue.SPANS}
    return {queue: size for queue, size in queues.items() if queue not in left_out}


def processes_of(queues: Mapping[str, int], workers: int) -> int:
    """How many of so many processes have anything to do."""
    return sum(1 for number in range(1, workers + 1) if queues_of_process(queues, number))
